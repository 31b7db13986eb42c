import Foundation

/// Steps that several tests take.
extension World {
    /// Until the network has confirmed the payment, so that nothing of it is left to do.
    func waitUntilConfirmed(_ payment: Payment) throws {
        guard let requestID = payment.requestID else { throw HarnessError("a payment without a request_id") }
        try Wait.until("the network has confirmed \(requestID)", within: Limits.settle) {
            let transaction = try rows().first { $0.requestID == requestID }?.transactionID
            return try simulator.book().contains { $0.transactionID == transaction && $0.state == .settled }
        }
    }

    /// Pays until the breaker refuses; the simulator must be out. What the breaker refuses has claimed nothing.
    func openTheBreaker(at name: String = "a") throws {
        var attempt = 0
        try Wait.until("the breaker opens", within: .seconds(20)) {
            attempt += 1
            return try pay(Payment(requestID: "breaker-\(attempt)"), at: name).isRefusal("clearing_unavailable")
        }
    }

    /// Sends one payment to a server that is about to die of its fault and waits for its death.
    ///
    /// - Returns: the answer, if one came before.
    @discardableResult
    func payIntoTheCrash(_ payment: Payment, at name: String = "a") throws -> Answer? {
        let dying = try server(name)
        var answer: Answer?
        do {
            answer = try pay(payment, over: dying.client())
        } catch ConnectionError.broken {
            // Recorded as lost: that is what the test is about.
        }
        let status = try dying.process.wait(within: Limits.answer)
        guard status == .signal(SIGKILL) else {
            throw HarnessError("the fault should have killed the server: \(status); \(dying.errors.suffix(2000))")
        }
        return answer
    }
}
