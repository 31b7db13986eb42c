import Foundation

/// Servers whose state directory is on a disk of the test's own.
extension World {
    /// Little room is asked for, so that a small disk is enough.
    static let smallDiskSettings = ["DISK_RESERVE_MB": "8", "DISK_FREE_MIN_MB": "8"]

    /// Has the server called `name` keep its log on `disk` from its next start on.
    func place(_ name: String = "a", on disk: SmallDisk) throws {
        try configure(name) { configuration in
            configuration.stateDirectory = disk.mountPoint + "/state"
            configuration.wrapper = try disk.entrance
        }
    }

    /// Payments that are sent at once, each on a connection and a thread of its own.
    func payTogether(_ payments: [Payment], at name: String = "a", meanwhile body: () throws -> Void) throws {
        let port = try server(name).configuration.port
        let clients = try payments.map { _ in try LineClient(port: port) }
        for (client, payment) in zip(clients, payments) { try client.send(payment) }
        try body()
        for (client, payment) in zip(clients, payments) {
            do {
                ledger.note(payment, .answer(try client.answer()))
            } catch ConnectionError.broken {
                ledger.note(payment, .lost)
            }
        }
    }

    /// What the last answer to a payment was; `nil` if there was none.
    func lastAnswer(to payment: Payment) -> Answer? { ledger.all.last { $0.payment == payment }?.answers.last }

    /// Until the server takes no payments, and says why.
    ///
    /// - Returns: what it says.
    @discardableResult
    func waitUntilRefusing(_ name: String = "a", within limit: Duration = .seconds(10)) throws -> String {
        let server = try server(name)
        try Wait.until("the server notices", within: limit, every: .milliseconds(50)) {
            try server.ask("GET /readyz") == "NOT_READY"
        }
        let reply = try HTTPConnection.once(port: server.configuration.port, "GET", "/readyz?verbose")
        return String(decoding: reply.body, as: UTF8.self)
    }
}
