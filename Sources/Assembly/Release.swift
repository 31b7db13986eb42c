/// Which version of the programs this is.
public enum Release {
    public static let version = "0.1.0"
    /// Version of the database schema, as `GET /version` shows it.
    public static let schema = 2
}
