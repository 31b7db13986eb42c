import HTTPService
import NIOCore
import NIOHTTP1
import Synchronization

/// The network's HTTP interface: takes requests apart, draws their fate, does the work, writes the books, answers.
final class ClearingService: Sendable {
    /// What the service needs of the process around it.
    struct Environment: Sendable {
        /// Calls back after that many nanoseconds.
        let schedule: @Sendable (_ nanoseconds: Int64, _ work: @escaping @Sendable () -> Void) -> Void
        /// Calls back on a thread that may be kept busy for a while.
        let offload: @Sendable (_ work: @escaping @Sendable () -> Void) -> Void
        /// The books on disk cannot be trusted any more; must not return to serving.
        let giveUp: @Sendable (_ reason: String) -> Void
    }

    private struct State {
        var book: ClearingBook
        var journal: BookJournal?
        var faults: Faults
        var random: SeededRandom
    }

    private let state: Mutex<State>
    private let environment: Environment

    /// - Parameter journal: `nil` keeps the books in memory alone.
    init(
        book: ClearingBook, journal: sending BookJournal?, faults: Faults, random: SeededRandom,
        environment: Environment
    ) {
        state = Mutex(State(book: book, journal: journal, faults: faults, random: random))
        self.environment = environment
    }

    typealias Answer = @Sendable (ServiceResponse) -> Void

    func respond(to request: ServiceRequest, answer: @escaping Answer) {
        switch request.path {
        case "/clearing/prepare": allow([.POST], request, answer) { answerAction(.prepare, request.body, answer) }
        case "/clearing/commit": allow([.POST], request, answer) { answerAction(.commit, request.body, answer) }
        case "/clearing/abort": allow([.POST], request, answer) { answerAction(.abort, request.body, answer) }
        case "/clearing/book": allow([.GET], request, answer) { answerBook(answer) }
        case "/clearing/faults":
            allow([.GET, .POST], request, answer) {
                answer(request.method == .GET ? showFaults() : changeFaults(request.body))
            }
        case "/healthz": allow([.GET], request, answer) { answer(.text("OK\n")) }
        case let path where path.hasPrefix(Self.statusPath):
            let transaction = String(path.dropFirst(Self.statusPath.count))
            guard !transaction.contains("/") else { return answer(Self.notFound) }
            allow([.GET], request, answer) { answerStatus(transaction, answer) }
        default: answer(Self.notFound)
        }
    }

    private static let statusPath = "/clearing/status/"

    // MARK: Transactions

    private func answerAction(_ action: ClearingAction, _ body: ByteBuffer, _ answer: @escaping Answer) {
        guard let fate = drawFate() else { return answer(Self.outage) }
        let request: ClearingRequest
        do {
            request = try ClearingRequest(action, json: Array(body.readableBytesView))
        } catch let error as MalformedRequest {
            return answer(.json(ReplyText.error(error.reason), status: .badRequest))
        } catch {
            return answer(.json(ReplyText.error("the request cannot be read"), status: .badRequest))
        }
        suffer(fate, answer) { self.carryOut(request, fate) }
    }

    private func answerStatus(_ transaction: String, _ answer: @escaping Answer) {
        guard let fate = drawFate() else { return answer(Self.outage) }
        guard (try? ClearingRequest.checkedTransaction(transaction)) != nil else {
            return answer(.json(ReplyText.error("that cannot be a transaction_id"), status: .badRequest))
        }
        suffer(fate, answer) {
            let entry = self.state.withLock { $0.book.entry(transaction) }
            return .json(ReplyText.status(entry, transaction: transaction))
        }
    }

    /// `nil` during an outage, which is refused at once and draws nothing.
    private func drawFate() -> RequestFate? {
        state.withLock { $0.faults.isOutage ? nil : RequestFate(faults: $0.faults, random: &$0.random) }
    }

    private func suffer(
        _ fate: RequestFate, _ answer: @escaping Answer, work: @escaping @Sendable () -> ServiceResponse
    ) {
        after(fate.delayBeforeNanoseconds) { [self] in
            let response = fate.isError ? Self.drawnError : work()
            after(fate.delayAfterNanoseconds) {
                answer(fate.isReplyLost ? .dropConnection : response)
            }
        }
    }

    private func after(_ nanoseconds: Int64, _ work: @escaping @Sendable () -> Void) {
        if nanoseconds > 0 { environment.schedule(nanoseconds, work) } else { work() }
    }

    /// The books on disk first, then those in memory, then the reply.
    private func carryOut(_ request: ClearingRequest, _ fate: RequestFate) -> ServiceResponse {
        let result: Result<ClearingReply, WorkFailure> = state.withLock { state in
            let event: ClearingEvent =
                switch request.content {
                case .prepare(let terms):
                    .prepare(terms, authorizationCode: fate.authorizationCode, declines: fate.isDeclined)
                case .commit(let claim): .commit(claim, settlement: state.book.nextSettlement)
                case .abort(let claim): .abort(claim)
                }
            let (entry, reply) = state.book.outcome(of: event, for: request.transaction)
            guard reply != .conflict else { return .success(reply) }
            guard
                state.book.entries.count < SimulatorLimits.transactionsMax
                    || state.book.entry(request.transaction) != nil
            else { return .failure(.booksFull) }
            do {
                try state.journal?.append(entry)
            } catch let error as BookJournalError {
                return .failure(.booksUnwritable(error))
            } catch {
                return .failure(.booksUnwritable(BookJournalError("\(error)", isFatal: true)))
            }
            state.book.record(entry)
            return .success(reply)
        }
        switch result {
        case .success(let reply):
            return .json(
                ReplyText.reply(reply, transaction: request.transaction), status: reply == .conflict ? .conflict : .ok)
        case .failure(.booksFull): return Self.error("the books are full: begin new ones", .serviceUnavailable)
        case .failure(.booksUnwritable(let error)):
            if error.isFatal {
                environment.giveUp(error.description)
                return .dropConnection
            }
            return Self.error("the books cannot be written", .internalServerError)
        }
    }

    private enum WorkFailure: Error {
        case booksFull
        case booksUnwritable(BookJournalError)
    }

    // MARK: The book and the faults

    private func answerBook(_ answer: @escaping Answer) {
        environment.offload { [self] in
            let entries = state.withLock { $0.book.entries }
            answer(.json(ReplyText.book(entries)))
        }
    }

    private func showFaults() -> ServiceResponse { .json(state.withLock { $0.faults }.jsonText + "\n") }

    private func changeFaults(_ body: ByteBuffer) -> ServiceResponse {
        do {
            return try state.withLock { state in
                state.faults = try state.faults.merging(json: Array(body.readableBytesView))
                return .json(state.faults.jsonText + "\n")
            }
        } catch let error as MalformedRequest {
            return Self.error(error.reason, .badRequest)
        } catch {
            return Self.error("the faults cannot be read", .badRequest)
        }
    }

    // MARK: Answers

    private func allow(
        _ methods: [HTTPMethod], _ request: ServiceRequest, _ answer: Answer, then work: () -> Void
    ) {
        guard !methods.contains(request.method) else { return work() }
        let names = methods.map(\.rawValue).joined(separator: ", ")
        let text = ReplyText.error("the method is not allowed here; use \(names)")
        answer(.json(text, status: .methodNotAllowed, headers: ["Allow": names]))
    }

    private static func error(_ reason: String, _ status: HTTPResponseStatus) -> ServiceResponse {
        .json(ReplyText.error(reason), status: status)
    }

    private static let notFound = error("there is nothing at this path", .notFound)
    private static let outage = error("outage", .serviceUnavailable)
    private static let drawnError = error("the request failed and did nothing", .internalServerError)
}
