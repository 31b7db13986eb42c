/// The name of a prepared transaction that a preflight makes and removes: `visa_doctor_` and 32 hexadecimal digits.
///
/// It is no ``GlobalBranchID``, so that no server and no recovery takes it for a branch.
struct ProbeName: Equatable, CustomStringConvertible {
    static let prefix = "visa_doctor_"
    private static let digits = 32

    let description: String

    static func random() -> Self {
        let digits = (0..<digits).map { _ in Character(String(UInt8.random(in: 0..<16), radix: 16)) }
        return Self(description: prefix + String(digits))
    }

    private init(description: String) { self.description = description }

    /// Takes exactly what ``random()`` can give: whatever else begins like it is somebody else's.
    init?(_ gid: String) {
        guard gid.hasPrefix(Self.prefix) else { return nil }
        let rest = gid.utf8.dropFirst(Self.prefix.utf8.count)
        let isHexadecimal = rest.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
            default: false
            }
        }
        guard rest.count == Self.digits, isHexadecimal else { return nil }
        description = gid
    }
}
