import Coordinator
import Payments

extension SimulatedDatabase {
    func prepare(_ order: PrepareOrder, completion: @escaping @Sendable (Vote) -> Void) {
        world.checker.prepareOrdered(order, at: .database(index), log: log)
        // As the client's own thread would: never within the call.
        after(0) { [self] in takePrepare(order, completion) }
    }

    private func takePrepare(_ order: PrepareOrder, _ completion: @escaping (Vote) -> Void) {
        let transaction = order.begin.transaction
        guard branches[transaction] == nil, order.begin.epoch == owner.epoch else {
            return completion(.unknown("this branch was asked to prepare before"))
        }
        guard isAvailable else { return completion(.no(.unavailable("the database is away"))) }
        guard order.deadline > world.monotonic else { return completion(.no(.unavailable("the deadline has passed"))) }
        let id = GlobalBranchID(log: logID, epoch: order.begin.epoch, transaction: transaction, database: index)
        let branch = Branch(order, id, completion)
        branches[transaction] = branch
        if slotsTaken < slotCapacity, slotWaiters.isEmpty { return grantSlot(branch) }
        slotWaiters.append(branch)
        world.scheduler.at(order.deadline.nanoseconds, for: life, ticket: branch.timer) { [self] in
            withdraw(branch, "no prepared slot was free in time")
        }
    }

    private func grantSlot(_ branch: Branch) {
        branch.timer.cancel()
        branch.holdsSlot = true
        slotsTaken += 1
        send(branch)
    }

    private func send(_ branch: Branch) {
        let (order, id) = (branch.order, branch.id)
        let job = Job(
            isUrgent: false, deadline: order.deadline.nanoseconds,
            onStart: { [self] link in
                guard let backend = link.backend else { return }
                branch.phase = .running(backend)
                world.note(id.transaction, 10 + Int(index.rawValue), "PREPARE is sent to \(index)")
            }
        ) { server, backend, reply in
            server.prepare(order, id, on: backend, reply)
        } completion: { [self] end in
            judge(branch, end)
        }
        branch.phase = .waitingForConnection(job)
        submit(job)
    }

    private func judge(_ branch: Branch, _ end: End) {
        switch end {
        case .notSent(let why): refused(branch, .unavailable(why))
        case .broken(let why): unclear(branch, why)
        case .replied(.prepared):
            branch.phase = .prepared
            branch.tell(.yes(authorizationCode: ""))
        case .replied(.uniqueViolation): readRow(branch)
        case .replied(.lockWait): refused(branch, .contended)
        case .replied(.noSlot): retryLater(branch)
        case .replied(.failed(let why)): refused(branch, .unavailable(why))
        case .replied: unclear(branch, "a reply that does not belong to the request")
        }
    }

    private func refused(_ branch: Branch, _ refusal: Vote.Refusal) {
        forget(branch)
        if world.monotonic < branch.order.deadline { world.checker.refused(branch.id.transaction, refusal) }
        branch.tell(.no(refusal))
    }

    private func unclear(_ branch: Branch, _ why: String) {
        guard case .running(let backend) = branch.phase else {
            preconditionFailure("an unknown vote of a branch that is \(branch.phase)")
        }
        branch.phase = .unclear(backend)
        terminate(backend) { _ in }
        branch.tell(.unknown(why))
    }

    private func retryLater(_ branch: Branch) {
        branch.slotAttempts += 1
        let delay: UInt64 = .milliseconds(min(320, 20 << min(branch.slotAttempts, 4)))
        guard isAvailable, world.now + delay < branch.order.deadline.nanoseconds else {
            return refused(branch, .unavailable("no prepared slot"))
        }
        let ticket = Scheduler.Ticket()
        branch.phase = .waitingToRetry(ticket)
        after(delay, ticket: ticket) { [self] in send(branch) }
    }

    private func readRow(_ branch: Branch) {
        branch.phase = .readingRow
        let begin = branch.order.begin
        let deadline = max(branch.order.deadline.nanoseconds, world.now + 500_000_000)
        submit(
            Job(isUrgent: true, deadline: deadline) { server, _, reply in
                reply(server.rows(holding: begin))
            } completion: { [self] end in
                var rows: [DatabaseServer.Row] = []
                if case .replied(.rows(let found)) = end { rows = found }
                if rows.contains(where: {
                    $0.transaction == begin.transaction && $0.intent.requestID == begin.intent.requestID
                }) {
                    branch.phase = .prepared
                    return branch.tell(.yes(authorizationCode: ""))
                }
                guard let row = rows.first(where: { $0.intent.requestID == begin.intent.requestID }) else {
                    return refused(branch, .contended)
                }
                refused(branch, begin.intent.isRepeat(of: row.intent) ? .madeBy(row.transaction) : .conflict)
            })
    }

    func lookUp(_ order: LookUpOrder, completion: @escaping @Sendable (PriorPayment) -> Void) {
        let begin = order.begin
        let body = { [self] in
            submit(
                Job(isUrgent: true, deadline: world.now + 500_000_000) { server, _, reply in
                    reply(server.rows(holding: begin))
                } completion: { end in
                    guard case .replied(.rows(let rows)) = end else { return completion(.unknown("no answer")) }
                    completion(Self.prior(rows, begin))
                })
        }
        after(0, body)
    }

    private static func prior(_ rows: [DatabaseServer.Row], _ begin: BeginRecord) -> PriorPayment {
        guard let row = rows.first(where: { $0.intent.requestID == begin.intent.requestID }) else { return .none }
        guard row.transaction != begin.transaction else { return .unknown("its own row is committed") }
        return begin.intent.isRepeat(of: row.intent) ? .madeBy(row.transaction) : .conflict
    }

    /// Ends a branch of which nothing was sent that could still prepare it.
    func withdraw(_ branch: Branch, _ reason: String) {
        switch branch.phase {
        case .waitingForSlot:
            branch.timer.cancel()
            slotWaiters.removeAll { $0 === branch }
            refused(branch, .unavailable(reason))
        case .waitingForConnection(let job): withdraw(job, reason)
        case .waitingToRetry(let ticket):
            ticket.cancel()
            refused(branch, .unavailable(reason))
        case .running, .readingRow, .prepared, .unclear, .contradicted: return
        }
    }

    // MARK: - Slots

    func forget(_ branch: Branch) {
        branches[branch.id.transaction] = nil
        giveSlotBack(branch)
    }

    func giveSlotBack(_ branch: Branch) {
        guard branch.holdsSlot else { return }
        branch.holdsSlot = false
        slotsTaken -= 1
        grantFreeSlots()
    }

    func resizeSlots(to capacity: Int) {
        slotCapacity = max(0, min(capacity, world.scenario.preparedMax))
        grantFreeSlots()
    }

    private func grantFreeSlots() {
        while slotsTaken < slotCapacity, !slotWaiters.isEmpty { grantSlot(slotWaiters.removeFirst()) }
    }

    /// What others hold is not ours to take.
    func sizeSlots(from list: [PreparedTransaction]) {
        let others = list.count { prepared in
            guard let id = GlobalBranchID(prepared.gid) else { return true }
            return id.log != logID || id.epoch != owner.epoch
        }
        resizeSlots(to: world.scenario.preparedMax - others)
    }
}
