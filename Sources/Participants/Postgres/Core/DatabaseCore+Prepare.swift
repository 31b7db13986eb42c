import Coordinator
import Payments

extension DatabaseCore {
    func prepare(_ order: PrepareOrder, _ completion: @escaping @Sendable (Vote) -> Void) {
        precondition(order.branch.participant == .database(index), "an order for \(order.branch.participant)")
        precondition(!order.branch.role.isEmpty, "a database branch writes something")
        let transaction = order.begin.transaction
        guard branches[transaction] == nil, order.begin.epoch == owner?.epoch else {
            // What became of the attempt before this one is not known here.
            return completion(.unknown("this branch was asked to prepare before"))
        }
        guard isAvailable else { return completion(.no(.unavailable("the database is \(state)"))) }
        guard order.deadline > EventLoop.now() else { return completion(.no(.unavailable("the deadline has passed"))) }
        guard slots.waitingCount + jobsWaiting < PostgresLimits.waitingOrdersMax else {
            return completion(.no(.unavailable("too many payments wait for this database")))
        }
        let gid = GlobalBranchID(log: logID, epoch: order.begin.epoch, transaction: transaction, database: index)
        let work = BranchWork(order, gid: gid.description, completion: completion)
        branches[transaction] = work
        if slots.acquire(work) { return slotGranted(work) }
        work.deadlineTimer = loop.schedule(at: order.deadline) { [weak self] in
            self?.withdraw(work, "no prepared slot was free in time: \(self?.slots.capacity ?? 0) are taken")
        }
    }

    private func slotGranted(_ work: BranchWork) {
        loop.cancel(work.deadlineTimer)
        work.deadlineTimer = nil
        work.holdsSlot = true
        send(work)
    }

    private func send(_ work: BranchWork) {
        let steps = Statements.steps(of: work.order.branch.role)
        let job = PoolJob(
            Statements.prepare(work.order, gid: work.gid, log: logText), .branch,
            deadline: work.order.deadline, usesPrepared: true,
            onStart: { link, backend in work.phase = .running(link, backend) },
            completion: { [unowned self] report in
                judged(work, PrepareJudgement.of(report, steps: steps))
            })
        work.phase = .waitingForConnection(job)
        submit(job)
    }

    private func judged(_ work: BranchWork, _ judgement: PrepareJudgement) {
        switch judgement {
        case .prepared:
            work.phase = .prepared
            work.vote(.yes(authorizationCode: ""))
        case .refused(let refusal): refused(work, refusal)
        case .readRow: readRow(work)
        case .noSlot(let reason): retryLater(work, reason)
        case .unknown(let reason): unclear(work, reason)
        }
    }

    /// Definitely not prepared: nothing of it has to be remembered, since an abort in this epoch of a branch that is not here
    /// is done.
    private func refused(_ work: BranchWork, _ refusal: Vote.Refusal) {
        forget(work)
        work.vote(.no(refusal))
    }

    private func unclear(_ work: BranchWork, _ reason: String) {
        guard case .running(let link, let backend) = work.phase else {
            preconditionFailure("an unknown vote of a branch that is \(work.phase)")
        }
        work.phase = .unclear(backend)
        // Nothing else is to run behind what may still be going on there.
        if link.backend == backend { link.lose("a vote on it is unknown: \(reason)") }
        events.note(.warning, "\(index) \(work.order.begin.transaction): unknown vote of \(backend): \(reason)")
        runControl([SessionStatements.terminate(backend)]) { _ in }
        work.vote(.unknown(reason))
    }

    private func retryLater(_ work: BranchWork, _ reason: String) {
        work.slotAttempts += 1
        let delay = PostgresLimits.slotRetryBackoff.delay(
            afterAttempt: work.slotAttempts, spread: work.order.begin.transaction.low)
        guard isAvailable, EventLoop.now() + delay < work.order.deadline else {
            return refused(work, .unavailable(reason))
        }
        work.phase = .waitingToRetry(loop.schedule(after: delay) { [weak self] in self?.send(work) })
    }

    /// A committed row has the key. Its content says whether the payment was made, by us or by another.
    private func readRow(_ work: BranchWork) {
        work.phase = .readingRow
        let begin = work.order.begin
        let deadline = max(work.order.deadline, EventLoop.now() + PostgresLimits.rowLookupTimeout)
        let job = PoolJob(
            Statements.rows(of: begin.intent.requestID, or: begin.transaction), .read, deadline: deadline
        ) { [unowned self] report in
            let rows = report.failure == nil ? (report.results[0].rows ?? []).compactMap { PaymentRow($0) } : []
            switch RowVerdict.of(rows, begin) {
            case .ours:
                work.phase = .prepared
                work.vote(.yes(authorizationCode: ""))
            case .madeBy(let other): refused(work, .madeBy(other))
            case .conflict: refused(work, .conflict)
            // The other one was not committed after all, or it could not be read.
            case .absent: refused(work, .contended)
            }
        }
        submit(job)
    }

    /// Reads the committed row that has the request_id, for a payment that is not going to be made.
    func lookUp(_ order: LookUpOrder, _ completion: @escaping @Sendable (PriorPayment) -> Void) {
        let begin = order.begin
        let job = PoolJob(
            Statements.rows(of: begin.intent.requestID, or: begin.transaction), .read,
            deadline: EventLoop.now() + PostgresLimits.rowLookupTimeout
        ) { report in
            guard report.failure == nil, let rows = report.results[0].rows else {
                return completion(.unknown(report.failure ?? "no answer"))
            }
            let read = rows.compactMap { PaymentRow($0) }
            guard read.count == rows.count else { return completion(.unknown("the row cannot be read")) }
            switch RowVerdict.of(read, begin) {
            case .ours: completion(.unknown("its own row is committed, and it is not decided"))
            case .madeBy(let other): completion(.madeBy(other))
            case .conflict: completion(.conflict)
            case .absent: completion(.none)
            }
        }
        submit(job)
    }

    /// Ends a branch of which nothing was sent that could still prepare it.
    func withdraw(_ work: BranchWork, _ reason: String) {
        switch work.phase {
        case .waitingForSlot:
            loop.cancel(work.deadlineTimer)
            slots.withdraw(work)
            refused(work, .unavailable(reason))
        case .waitingForConnection(let job): withdraw(job, reason)
        case .waitingToRetry(let timer):
            loop.cancel(timer)
            refused(work, .unavailable(reason))
        case .running, .readingRow, .prepared, .unclear, .contradicted: return
        }
    }

    // MARK: Slots

    /// The branch is known not to be prepared, now or later.
    func forget(_ work: BranchWork) {
        branches[work.order.begin.transaction] = nil
        giveSlotBack(work)
    }

    func giveSlotBack(_ work: BranchWork) {
        guard work.holdsSlot else { return }
        work.holdsSlot = false
        if let next = slots.release() { slotGranted(next) }
    }

    /// Sets the slots from a list that was just read: what others hold is not ours to take. Branches of this epoch are counted as
    /// they come and go, not from the list, which is late.
    func sizeSlots(from list: [PreparedTransaction]) {
        let others = list.count { prepared in
            guard let id = GlobalBranchID(prepared.gid) else { return true }
            return id.log != logID || id.epoch != owner?.epoch
        }
        resizeSlots(to: preparedMax - others)
    }

    func resizeSlots(to capacity: Int) {
        slots.resize(to: max(0, min(capacity, preparedMax)))
        while let work = slots.next() { slotGranted(work) }
    }
}

/// What the committed rows that hold a payment's keys say of it.
enum RowVerdict: Equatable {
    /// The payment's own row: its branch was committed before.
    case ours
    case madeBy(TransactionID)
    /// The request_id is another payment's.
    case conflict
    /// No row has the request_id.
    case absent

    static func of(_ rows: [PaymentRow], _ begin: BeginRecord) -> RowVerdict {
        guard let row = rows.first(where: { $0.requestID == begin.intent.requestID.text }) else { return .absent }
        guard row.transaction != begin.transaction else { return .ours }
        guard let other = row.transaction, row.isRepeat(of: begin.intent) else { return .conflict }
        return .madeBy(other)
    }
}
