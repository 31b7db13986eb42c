@testable import ClearingSimulator

/// The simulator as the judge of what we send to the network.
enum NetworkCheck {
    static func takes(prepare body: [UInt8]) throws {
        do {
            let request = try ClearingRequest(.prepare, json: body)
            guard case .prepare = request.content else { throw Finding(description: "a prepare is something else") }
        } catch let error as MalformedRequest {
            throw Finding(description: "the network does not understand a prepare: \(error.reason)")
        }
    }
}
