import BenchmarkKit
import Foundation

/// pgbench with the statements that the coordinator's connections run, and rows of the same form and size.
struct Pgbench {
    /// How the statements are sent.
    enum Form: String, CaseIterable {
        /// One by one, each waiting for its answer.
        case separate
        /// Everything up to PREPARE TRANSACTION in one message.
        case combined

        /// As reports call it.
        var name: String {
            switch self {
            case .separate: "pgbench"
            case .combined: "pgbench combined"
            }
        }
    }

    private let cluster: Cluster
    private let folder: String

    /// - Parameter folder: where its scripts are written.
    init(_ cluster: Cluster, folder: String) throws {
        self.cluster = cluster
        self.folder = folder
        for form in Form.allCases {
            try Self.script(form).write(toFile: "\(folder)/\(form).sql", atomically: true, encoding: .utf8)
        }
    }

    /// - Returns: `rate` a second; `latency`, the mean in microseconds; `postgresql_cpu`, microseconds a payment.
    func measure(_ form: Form, clients: Int, seconds: Double) throws -> [String: Double] {
        try Tables.empty(cluster)
        // pgbench counts whole seconds.
        let duration = max(1, Int(seconds.rounded()))
        let before = cluster.cpuMicroseconds
        let output = try Tool.run(
            Tool.postgres("pgbench"),
            [
                "--no-vacuum", "--protocol=simple", "--file=\(folder)/\(form).sql", "--client=\(clients)",
                "--jobs=\(min(clients, 2))", "--time=\(duration)", "--define=n=1000000000", "--host=127.0.0.1",
                "--port=\(cluster.port)", "--username=\(Cluster.role)", cluster.databases[0],
            ]
        ).output
        guard let rate = Self.number(in: output, after: "tps = "), rate > 0,
            let count = Self.number(in: output, after: "number of transactions actually processed: "), count > 0,
            Self.number(in: output, after: "number of failed transactions: ") == 0
        else { throw BenchmarkFailure("pgbench said: \(output)") }
        return [
            "rate": rate, "latency": (Self.number(in: output, after: "latency average = ") ?? .nan) * 1000,
            "postgresql_cpu": (cluster.cpuMicroseconds - before) / count,
        ]
    }

    private static func number(in text: String, after words: String) -> Double? {
        guard let range = text.range(of: words) else { return nil }
        return Double(text[range.upperBound...].prefix { $0.isNumber || $0 == "." })
    }

    /// Names as ours: request_ids in no order, 36 characters; transactions, 32 characters, one after the other; a gid of its own for
    /// each. A client's transactions are told from the others' by its number.
    private static func script(_ form: Form) -> String {
        let digest = String(repeating: "5a", count: 32)
        let log = String(repeating: "0123456789abcdef", count: 2)
        let transaction = "019aa0b1c2d3e4f5-:n-:client"
        let gid = "visa_\(log)_1_\(transaction)-1"
        let statements = [
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
            """
            INSERT INTO transactions (request_id, tx_type, pan_masked, amount, currency, merchant, ref_request_id, status, txn_id, \
            auth_code, pan_token, token_key_id, request_hash, hash_key_id, log_id, log_epoch) VALUES \
            ('pay-:random-aaaaaaaaaaaaa', 'AUTH', '400000******1234', 1234.56, 'USD', 'MERCHANT017', NULL, 'APPROVED', \
            '\(transaction)', 'A1B2C3', '\\x\(digest)', 1, '\\x\(digest)', 1, '\(log)', 1)
            """,
            """
            INSERT INTO merchant_entries (txn_id, merchant, amount, currency, kind) VALUES \
            ('\(transaction)', 'MERCHANT017', 1234.56, 'USD', 'AUTH')
            """,
            "PREPARE TRANSACTION '\(gid)'",
        ]
        let separator = form == .separate ? ";\n" : " \\;\n"
        return """
            \\set n :n + 1
            \\set client 1000 + :client_id
            \\set random random(100000000000000000, 999999999999999999)
            \(statements.joined(separator: separator));
            COMMIT PREPARED '\(gid)';

            """
    }
}
