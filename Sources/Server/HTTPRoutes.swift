import HTTPService
import NIOCore
import NIOHTTP1

/// What is served over HTTP, on the payment port and on the admin port.
extension PaymentFront {
    var respond: ServiceResponder {
        { [self] request, answer in
            guard let query = Query(path: request.path, query: request.query) else {
                return answer(.json(#"{"error":"not_found"}"#, status: .notFound))
            }
            guard request.method == .GET else {
                return answer(
                    .json(
                        #"{"error":"method_not_allowed"}"#, status: .methodNotAllowed, headers: ["allow": "GET, HEAD"]))
            }
            self.answer(query, metrics: .prometheus) { answer($0.response) }
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
