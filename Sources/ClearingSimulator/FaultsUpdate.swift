import FoundationEssentials

extension Faults {
    /// These settings with those in `json` changed; settings that it does not name stay.
    ///
    /// - Throws: ``MalformedRequest`` for an unknown setting or a value out of range; nothing is changed then.
    func merging(json: [UInt8]) throws -> Faults {
        let update: FaultsUpdate
        do {
            update = try JSONDecoder().decode(FaultsUpdate.self, from: Data(json))
        } catch let error as MalformedRequest {
            throw error
        } catch DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context) {
            guard let key = context.codingPath.last else { throw MalformedRequest("the body must be a JSON object") }
            let kind = key.stringValue == FaultsUpdate.Name.outage.rawValue ? "true or false" : "a number"
            throw MalformedRequest("\(key.stringValue) must be \(kind)")
        } catch {
            throw MalformedRequest("the body is not valid JSON")
        }
        var merged = self
        merged.errorRate = update.errorRate ?? errorRate
        merged.lostReplyRate = update.lostReplyRate ?? lostReplyRate
        merged.declineRate = update.declineRate ?? declineRate
        merged.latencyMilliseconds = update.latency ?? latencyMilliseconds
        merged.latencyP99Milliseconds = update.latencyP99 ?? latencyP99Milliseconds
        merged.isOutage = update.outage ?? isOutage
        if let problem = merged.problem { throw MalformedRequest(problem) }
        return merged
    }
}

/// The body of `POST /clearing/faults`: any of the settings, and nothing else.
private struct FaultsUpdate: Decodable {
    enum Name: String, CaseIterable {
        case errorRate = "error_rate"
        case lostReplyRate = "lost_reply_rate"
        case declineRate = "decline_rate"
        case latency = "latency_ms"
        case latencyP99 = "latency_p99_ms"
        case outage
    }

    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
        init(_ name: Name) { stringValue = name.rawValue }
    }

    let errorRate: Double?
    let lostReplyRate: Double?
    let declineRate: Double?
    let latency: Double?
    let latencyP99: Double?
    let outage: Bool?

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        guard container.allKeys.allSatisfy({ Name(rawValue: $0.stringValue) != nil }) else {
            let names = Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw MalformedRequest("there is an unknown setting; known are \(names)")
        }
        errorRate = try container.decodeIfPresent(Double.self, forKey: Key(.errorRate))
        lostReplyRate = try container.decodeIfPresent(Double.self, forKey: Key(.lostReplyRate))
        declineRate = try container.decodeIfPresent(Double.self, forKey: Key(.declineRate))
        latency = try container.decodeIfPresent(Double.self, forKey: Key(.latency))
        latencyP99 = try container.decodeIfPresent(Double.self, forKey: Key(.latencyP99))
        outage = try container.decodeIfPresent(Bool.self, forKey: Key(.outage))
    }
}
