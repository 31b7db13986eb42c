public import Coordinator
import Runtime
import Telemetry

/// Carrying out what operators order.
extension Node {
    /// Takes an order. What it leads to is delivered in the background; ``aftermath(of:atMost:)`` waits for it.
    public func carryOut(_ order: OperatorOrder) async -> OrderResult {
        let result: OrderResult
        switch order {
        case .resolve(let transaction, let outcome, let isForced, let signature):
            let record = ResolutionRecord(
                transaction: transaction, outcome: outcome, isForced: isForced, warrant: signature.warrant)
            result = await ask(.resolve(record, needsTwoPersons: settings.resolveNeedsTwoPersons), order)
        case .retryReversal(let transaction, let signature), .unparkReversal(let transaction, let signature):
            let record = ReversalReleasedRecord(transaction: transaction, warrant: signature.warrant)
            if let refusal = await refusalToSend(transaction, order) {
                result = refusal
            } else {
                result = await ask(.releaseReversal(record), order)
            }
        case .parkReversal(let transaction, let signature):
            let record = ReversalParkedRecord(
                transaction: transaction, reason: "\(signature.reason) (ordered by \(signature.actor))")
            result = await ask(.parkReversal(record), order)
        case .releaseQuarantined(let number, let isDiscarded, let signature):
            let record = QuarantineReleasedRecord(
                number: number, wasRestored: !isDiscarded, warrant: signature.warrant)
            result = await ask(.releaseQuarantined(record), order)
        case .adopt(let transaction, let outcome, let signature):
            result = await adopt(transaction, outcome, signature, order)
        case .recoverNow(let transactions):
            result = await recoverNow(only: Set(transactions))
        }
        note(order, result)
        return result
    }

    /// Waits until nothing more follows of an order that was taken, at most as long as given.
    public func aftermath(of order: OperatorOrder, atMost limit: Milliseconds) async throws -> OrderResult {
        let seen = try await Aftermath.follow(order, atMost: limit, snapshot: log.snapshot)
        return OrderResult(seen, of: order)
    }

    /// Gives an intervention to the coordinator. What is just being worked on is waited for a little.
    func ask(_ write: LogWrite, _ order: OperatorOrder) async -> OrderResult {
        let end = SystemClock.monotonic() + OrderLimits.busyWaitMax
        while true {
            let result = await withCheckedContinuation { continuation in
                coordinator.order(write) { continuation.resume(returning: $0) }
            }
            switch result {
            case .success(let receipt): return OrderResult(receipt, of: order)
            case .failure(.busy) where SystemClock.monotonic() < end:
                do {
                    try await Task.sleep(for: .milliseconds(OrderLimits.busyPause.count))
                } catch {
                    return OrderResult(.failed, "the server is stopping; give the order to the next one")
                }
            case .failure(let refusal): return OrderResult(refusal, of: order)
            }
        }
    }

    /// Why a reversal is not sent; `nil` if nothing speaks against it. Undoing at the network what a database has committed could leave
    /// a payment without money, so the databases are looked at first while its transaction has not ended.
    private func refusalToSend(_ transaction: TransactionID, _ order: OperatorOrder) async -> OrderResult? {
        do {
            let snapshot = try log.snapshot()
            if let refusal = OrderResult.refusal(of: order, in: snapshot, now: SystemClock.wall()) { return refusal }
            guard snapshot.active.contains(where: { $0.transaction == transaction }) else { return nil }
            let isHeld = try await plan(isServing: true).heldReversals.contains { $0.transaction == transaction }
            return isHeld ? .reversalHeld(transaction) : nil
        } catch {
            return OrderResult(.failed, "\(error)")
        }
    }

    /// The periodic pass, now.
    private func recoverNow(only transactions: Set<TransactionID>) async -> OrderResult {
        do {
            if isReconciling {
                await periodicPass()
            } else {
                await passes.enter()
                defer { passes.leave() }
                let selection = PlanSelection(only: transactions.isEmpty ? nil : transactions)
                await carryOut(try await plan(isServing: true).filtered(selection).onlyStrays)
            }
            await flushLog()
            return OrderResult(.done, "the server has made a recovery pass")
        } catch {
            return OrderResult(.failed, "the recovery pass failed: \(error)")
        }
    }

    private func note(_ order: OperatorOrder, _ result: OrderResult) {
        let who = order.signature.map { " by \($0.actor)" } ?? ""
        let text = "\(order.words)\(who): \(result.message)"
        let level = result.isAccepted ? Level.info : .warning
        if let transaction = order.transaction {
            events.emit(
                level, .order, .transactionID(transaction.description), .status(result.code), .message(text))
        } else {
            events.emit(level, .order, .status(result.code), .message(text))
        }
    }
}

/// What can be told of an order from the log alone.
extension OrderResult {
    /// Why an order would be refused, so that nothing need be taken over to find out; `nil` if nothing speaks against it.
    public static func refusal(
        of order: OperatorOrder, in snapshot: LogSnapshot, now: WallTime
    ) -> OrderResult? {
        switch order {
        case .resolve(let transaction, let outcome, let isForced, let signature):
            guard let active = snapshot.active.first(where: { $0.transaction == transaction }) else {
                return OrderResult(LogRefusal.notActive(transaction), of: order)
            }
            let record = ResolutionRecord(
                transaction: transaction, outcome: outcome, isForced: isForced, warrant: signature.warrant)
            do throws(ResolutionRefusal) {
                _ = try active.resolving(record, now: now, continuity: snapshot.continuity)
                return nil
            } catch {
                return OrderResult(error, of: order)
            }
        case .parkReversal(let transaction, _):
            let isOpen = snapshot.reversals.contains { $0.transaction == transaction }
            return isOpen ? nil : OrderResult(LogRefusal.noReversal(transaction), of: order)
        case .retryReversal(let transaction, _): return refusalToSend(transaction, order, snapshot)
        case .unparkReversal(let transaction, _):
            if let refusal = refusalToSend(transaction, order, snapshot) { return refusal }
            let isParked = snapshot.reversals.contains { $0.transaction == transaction && $0.parkedReason != nil }
            return isParked
                ? nil
                : OrderResult(
                    .reversalNotParked,
                    "the reversal of \(transaction) is not parked: it is being sent; recover reversals retry sends it now"
                )
        case .adopt(let transaction, _, _):
            let isKnown = snapshot.active.contains { $0.transaction == transaction }
            return isKnown ? OrderResult(LogRefusal.alreadyActive(transaction), of: order) : nil
        case .releaseQuarantined, .recoverNow: return nil
        }
    }

    private static func refusalToSend(
        _ transaction: TransactionID, _ order: OperatorOrder, _ snapshot: LogSnapshot
    ) -> OrderResult? {
        guard snapshot.reversals.contains(where: { $0.transaction == transaction }) else {
            return OrderResult(LogRefusal.noReversal(transaction), of: order)
        }
        let payment = snapshot.active.first { $0.transaction == transaction }
        return payment?.isParked == true ? reversalHeld(transaction) : nil
    }

    fileprivate static func reversalHeld(_ transaction: TransactionID) -> OrderResult {
        OrderResult(
            .reversalHeld,
            "the reversal of \(transaction) is held, because a database has committed the payment all the same; "
                + "resolve the payment first (recover show \(transaction))")
    }
}
