/// The tables and how they come to be. Only additions are made, so that the predecessor's queries keep working.
enum Schema {
    /// Raised with each migration.
    static let version = 2
    /// The oldest version of this program's schema that can work with it: what came since is optional.
    private static let usableFrom = 1
    /// Any constant: the name of the lock under which migrations run, one server at a time.
    private static let advisoryLock = "4831940712215938816"

    /// Whether there is anything to do. Takes no lock and needs no right to create.
    static let check = Statement.query(
        "SELECT (pg_catalog.to_regclass('holdfast_schema') IS NOT NULL)::text", endsSegment: true)

    /// What was applied, and the oldest version of this program's schema that can work with it.
    static let appliedVersion = Statement.query(
        "SELECT pg_catalog.max(version)::text, pg_catalog.max(usable_from)::text FROM holdfast_schema",
        endsSegment: true)

    enum Judgement: Equatable {
        case upToDate
        case migrate
        case refused(String)
    }

    static func judge(_ row: [String?]?) -> Judgement {
        guard let row, row.count == 2, let applied = row[0].flatMap({ Int($0) }) else { return .migrate }
        if let usableFrom = row[1].flatMap({ Int($0) }), usableFrom > version {
            return .refused(
                "the tables have version \(applied), which needs a program of schema \(usableFrom) or newer; this one has "
                    + "\(version): install the newer program")
        }
        return applied >= version ? .upToDate : .migrate
    }

    /// One transaction under the advisory lock; doing it again changes nothing. `transactions` may be the predecessor's.
    static var migration: [Statement] {
        [
            .command("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", tag: "BEGIN"), SessionStatements.flushAlways,
            // The migration's own deadline bounds it.
            .query("SELECT pg_catalog.set_config('statement_timeout', '0', true)"),
            .query("SELECT pg_catalog.pg_advisory_xact_lock(\(advisoryLock))"),
            .command(schemaTable, tag: "CREATE TABLE"), .command(transactionsTable, tag: "CREATE TABLE"),
            .command(transactionsColumns, tag: "ALTER TABLE"), .command(widening, tag: "DO"),
            .command(
                "CREATE UNIQUE INDEX IF NOT EXISTS transactions_txn_id_key ON transactions (txn_id)",
                tag: "CREATE INDEX"),
            .command(merchantEntriesTable, tag: "CREATE TABLE"), .command(fenceTable, tag: "CREATE TABLE"),
            .command(recordVersion, tag: "DO"), .command("COMMIT", tag: "COMMIT", endsSegment: true),
        ]
    }

    private static let schemaTable = """
        CREATE TABLE IF NOT EXISTS holdfast_schema (
            version integer PRIMARY KEY,
            usable_from integer NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT pg_catalog.now())
        """

    private static let transactionsTable = """
        CREATE TABLE IF NOT EXISTS transactions (
            id bigserial PRIMARY KEY,
            request_id varchar(64) UNIQUE,
            tx_type varchar(16) DEFAULT 'AUTH',
            pan_masked varchar(32),
            amount numeric,
            currency varchar(8),
            merchant varchar(64),
            ref_request_id varchar(64),
            status varchar(32),
            created_at timestamptz DEFAULT pg_catalog.now())
        """

    /// `txn_id` is the witness: the row that carries it is there if and only if the branch was committed. `log_id` and `log_epoch`
    /// say whose it is: a log that has lost its tail finds its payments by them.
    private static let transactionsColumns = """
        ALTER TABLE transactions
            ADD COLUMN IF NOT EXISTS request_id varchar(64),
            ADD COLUMN IF NOT EXISTS tx_type varchar(16) DEFAULT 'AUTH',
            ADD COLUMN IF NOT EXISTS pan_masked varchar(32),
            ADD COLUMN IF NOT EXISTS amount numeric,
            ADD COLUMN IF NOT EXISTS currency varchar(8),
            ADD COLUMN IF NOT EXISTS merchant varchar(64),
            ADD COLUMN IF NOT EXISTS ref_request_id varchar(64),
            ADD COLUMN IF NOT EXISTS status varchar(32),
            ADD COLUMN IF NOT EXISTS created_at timestamptz DEFAULT pg_catalog.now(),
            ADD COLUMN IF NOT EXISTS txn_id text,
            ADD COLUMN IF NOT EXISTS auth_code varchar(64),
            ADD COLUMN IF NOT EXISTS pan_token bytea,
            ADD COLUMN IF NOT EXISTS token_key_id bigint,
            ADD COLUMN IF NOT EXISTS request_hash bytea,
            ADD COLUMN IF NOT EXISTS hash_key_id bigint,
            ADD COLUMN IF NOT EXISTS log_id text,
            ADD COLUMN IF NOT EXISTS log_epoch numeric(20)
        """

    /// What a predecessor's table may lack: room in its columns, the unique request_id, the indexes, under whatever name.
    private static let widening = """
        DO $$
        DECLARE
            wanted record;
            actual record;
        BEGIN
            SELECT atttypmod INTO actual FROM pg_catalog.pg_attribute
                WHERE attrelid = 'transactions'::regclass AND attname = 'amount';
            IF actual.atttypmod <> -1 THEN
                ALTER TABLE transactions ALTER COLUMN amount TYPE numeric;
            END IF;
            FOR wanted IN SELECT * FROM (VALUES ('request_id', 64), ('tx_type', 16), ('pan_masked', 32), ('currency', 8),
                    ('merchant', 64), ('ref_request_id', 64), ('status', 32)) AS columns (name, length) LOOP
                SELECT atttypid, atttypmod INTO actual FROM pg_catalog.pg_attribute
                    WHERE attrelid = 'transactions'::regclass AND attname = wanted.name;
                IF actual.atttypid IN ('varchar'::regtype, 'bpchar'::regtype)
                    AND actual.atttypmod BETWEEN 0 AND wanted.length + 3 THEN
                    EXECUTE pg_catalog.format(
                        'ALTER TABLE transactions ALTER COLUMN %I TYPE varchar(%s)', wanted.name, wanted.length);
                END IF;
            END LOOP;
            IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a
                    ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                    WHERE i.indrelid = 'transactions'::regclass AND a.attname = 'request_id' AND i.indisunique
                    AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL) THEN
                CREATE UNIQUE INDEX transactions_request_id_unique ON transactions (request_id);
            END IF;
            FOR wanted IN SELECT * FROM (VALUES ('created_at'), ('ref_request_id')) AS columns (name) LOOP
                IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_index i JOIN pg_catalog.pg_attribute a
                        ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                        WHERE i.indrelid = 'transactions'::regclass AND a.attname = wanted.name AND i.indisvalid) THEN
                    EXECUTE pg_catalog.format('CREATE INDEX ON transactions (%I)', wanted.name);
                END IF;
            END LOOP;
        END $$
        """

    /// Append-only: no balance is updated inside a prepared transaction.
    private static let merchantEntriesTable = """
        CREATE TABLE IF NOT EXISTS merchant_entries (
            txn_id text PRIMARY KEY,
            merchant varchar(64) NOT NULL,
            amount numeric NOT NULL,
            currency varchar(8) NOT NULL,
            kind varchar(16) NOT NULL,
            created_at timestamptz NOT NULL DEFAULT pg_catalog.now())
        """

    /// An epoch has 64 bits without a sign, which `bigint` has not.
    private static let fenceTable = """
        CREATE TABLE IF NOT EXISTS holdfast_fence (
            log_id text PRIMARY KEY,
            epoch numeric(20) NOT NULL,
            incarnation text NOT NULL,
            database smallint NOT NULL,
            fenced_at timestamptz NOT NULL DEFAULT pg_catalog.now())
        """

    private static let recordVersion = """
        DO $$ BEGIN
            INSERT INTO holdfast_schema (version, usable_from) VALUES (\(version), \(usableFrom)) ON CONFLICT DO NOTHING;
        END $$
        """
}
