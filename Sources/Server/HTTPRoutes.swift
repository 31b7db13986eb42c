import Coordinator
import HTTPService
import NIOCore
import NIOHTTP1
import Runtime

/// What is served over HTTP, on the payment port and on the admin port.
extension PaymentFront {
    var respond: ServiceResponder {
        { [self] request, answer in
            if request.path.hasPrefix("/secure/") { return respondSecurely(request, answer) }
            guard let query = Query(path: request.path, query: request.query) else { return answer(.notFound) }
            guard request.method == .GET else { return answer(.notAllowed("GET, HEAD")) }
            self.answer(query, metrics: .prometheus) { answer($0.response) }
        }
    }

    /// Behind the bearer token: `GET /secure/ping` and `POST /secure/tx`.
    private func respondSecurely(
        _ request: ServiceRequest, _ answer: @escaping @Sendable (ServiceResponse) -> Void
    ) {
        guard isAuthorized(request) else {
            return answer(
                .json(
                    #"{"error":"unauthorized"}"#, status: .unauthorized, headers: ["www-authenticate": "Bearer"]))
        }
        switch (request.path, request.method) {
        case ("/secure/ping", .GET): answer(.json(#"{"status":"OK"}"#))
        case ("/secure/ping", _): answer(.notAllowed("GET, HEAD"))
        case ("/secure/tx", .POST):
            guard request.body.readableBytes > 0 else {
                return answer(.json(#"{"error":"bad_content_length"}"#, status: .badRequest))
            }
            if faults.fails(ClientPoint.requestRead) { return answer(.dropConnection) }
            pay(request.body.readableBytesView) { [faults] made in
                if faults.fails(ClientPoint.answerReady) { return answer(.dropConnection) }
                answer(.json(made.body, status: made.answer.status))
            }
        case ("/secure/tx", _): answer(.notAllowed("POST"))
        default: answer(.notFound)
        }
    }

    /// Compares in a time that does not depend on where the first difference is.
    private func isAuthorized(_ request: ServiceRequest) -> Bool {
        guard let apiToken, let header = request.headers.first(name: "authorization") else { return false }
        let given = Array(header.utf8)
        let expected = Array("Bearer \(apiToken)".utf8)
        guard given.count == expected.count else { return false }
        return zip(given, expected).reduce(0) { $0 | ($1.0 ^ $1.1) } == 0
    }
}

extension ServiceResponse {
    fileprivate static let notFound = ServiceResponse.json(#"{"error":"not_found"}"#, status: .notFound)

    fileprivate static func notAllowed(_ methods: String) -> ServiceResponse {
        .json(#"{"error":"method_not_allowed"}"#, status: .methodNotAllowed, headers: ["allow": methods])
    }
}

extension Answer {
    /// The HTTP status that the wire contract gives an answer.
    var status: HTTPResponseStatus {
        switch self {
        case .approved, .madeBy: .ok
        case .pending: .accepted
        case .declined(let reason, _), .refused(let reason): reason.status
        }
    }
}

extension DeclineReason {
    fileprivate var status: HTTPResponseStatus {
        switch self {
        case .badRequest, .luhnFailed, .amountInvalid: .badRequest
        case .riskVelocity, .riskDecline, .clearingDeclined: .paymentRequired
        case .unknownReference: .notFound
        case .invalidState: .conflict
        case .idempotencyConflict: .unprocessableEntity
        case .rateLimited: .tooManyRequests
        case .transactionInitFailed, .databaseError, .commitFailed: .internalServerError
        case .clearingUnavailable: .badGateway
        case .serverBusy, .shuttingDown: .serviceUnavailable
        }
    }
}

extension QueryAnswer {
    fileprivate var response: ServiceResponse {
        let status: HTTPResponseStatus =
            if !isWellFormed { .badRequest } else if !isFound { .notFound } else if !isAvailable {
                .serviceUnavailable
            } else { .ok }
        return isJSON ? .json(body + "\n", status: status) : .text(body + "\n", status: status)
    }
}
