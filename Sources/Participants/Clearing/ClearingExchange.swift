internal import AsyncHTTPClient
internal import Coordinator
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix

/// What became of one HTTP request to the card network.
enum ExchangeOutcome: Sendable, Equatable {
    case replied(ClearingReply)
    /// The request may have arrived; its answer is lost.
    case lost(String)
    /// It got no connection, so nothing was sent.
    case notReached(String)

    static let noConnectionFree = ExchangeOutcome.notReached("no connection to the network became free in time")
    static let shutDown = ExchangeOutcome.notReached("the network's client is shut down")
}

/// Gathers the reply of one request within its bound, and notices whether anything was sent.
///
/// Every call of it comes on the event loop of its request (the contract of `HTTPClientResponseDelegate`).
final class ClearingExchange: HTTPClientResponseDelegate {
    typealias Response = ClearingReply

    private struct Progress {
        var wasSent = false
        var httpStatus: UInt = 0
        var body: [UInt8] = []
    }

    private let transaction: TransactionID
    private let progress: NIOLoopBoundBox<Progress>

    /// May be called on any thread.
    init(transaction: TransactionID, eventLoop: any EventLoop) {
        self.transaction = transaction
        progress = NIOLoopBoundBox.makeBoxSendingValue(Progress(), eventLoop: eventLoop)
    }

    private struct ReplyTooLong: Error {}

    func didSendRequestHead(task: HTTPClient.Task<Response>, _ head: HTTPRequestHead) {
        progress.value.wasSent = true
    }

    func didReceiveHead(task: HTTPClient.Task<Response>, _ head: HTTPResponseHead) -> EventLoopFuture<Void> {
        progress.value.httpStatus = head.status.code
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didReceiveBodyPart(task: HTTPClient.Task<Response>, _ buffer: ByteBuffer) -> EventLoopFuture<Void> {
        guard progress.value.body.count + buffer.readableBytes <= ClearingLimits.replyBytesMax else {
            return task.eventLoop.makeFailedFuture(ReplyTooLong())
        }
        progress.value.body.append(contentsOf: buffer.readableBytesView)
        return task.eventLoop.makeSucceededVoidFuture()
    }

    func didFinishRequest(task: HTTPClient.Task<Response>) throws -> ClearingReply {
        ClearingReply(httpStatus: progress.value.httpStatus, body: progress.value.body, transaction: transaction)
    }

    /// To be called on the event loop of the request.
    func outcome(of result: Result<ClearingReply, any Error>) -> ExchangeOutcome {
        switch result {
        case .success(let reply): return .replied(reply)
        case .failure(let error):
            if !progress.value.wasSent, let outcome = Self.connectionFailure(error) { return outcome }
            return .lost(Self.lossReason(error))
        }
    }

    /// Why no connection was made; `nil` for an error that may come after something was sent. Only errors of making a
    /// connection are in the list: whatever else fails is taken as sent.
    private static func connectionFailure(_ error: any Error) -> ExchangeOutcome? {
        if error is NIOConnectionError { return .notReached("the network could not be connected to") }
        // An address that is a number is connected to without the look-up that NIOConnectionError comes from.
        if let code = (error as? IOError)?.errnoCode, [ECONNREFUSED, ENETUNREACH, EHOSTUNREACH].contains(code) {
            return .notReached("the network could not be connected to")
        }
        switch error as? HTTPClientError {
        case .connectTimeout: return .notReached("the connection to the network was not made in time")
        case .getConnectionFromPoolTimeout: return .noConnectionFree
        case .alreadyShutdown: return .shutDown
        default: return nil
        }
    }

    private static func lossReason(_ error: any Error) -> String {
        if error is ReplyTooLong { return "the network's reply was longer than \(ClearingLimits.replyBytesMax) bytes" }
        switch error as? HTTPClientError {
        case .deadlineExceeded, .cancelled: return "the network did not answer in time"
        case .remoteConnectionClosed: return "the network closed the connection without an answer"
        case .some(let other): return "the exchange with the network failed: \(other.shortDescription)"
        // Other errors' texts may hold anything of the peer's; their kind is enough.
        case nil: return "the exchange with the network failed: \(type(of: error))"
        }
    }
}
