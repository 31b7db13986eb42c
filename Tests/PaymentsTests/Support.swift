import Foundation
import Payments
import Testing

/// Reads a request line as the server does.
func draft(_ line: String) throws(RequestFault) -> RequestDraft {
    let bytes = Array(line.utf8)
    return try RequestDraft(json: bytes.span)
}

func object(_ text: String, depthMax: Int = PaymentLimits.jsonDepthMax) throws(JSONFault) -> JSONObject {
    let bytes = Array(text.utf8)
    return try JSONObject(json: bytes.span, depthMax: depthMax)
}

/// The problem that reading `bytes` ends with; `nil` if they are fine.
func problem(_ bytes: [UInt8]) -> JSONFault.Problem? {
    do throws(JSONFault) {
        _ = try JSONObject(json: bytes.span)
        return nil
    } catch {
        return error.problem
    }
}

func problem(_ text: String) -> JSONFault.Problem? { problem(Array(text.utf8)) }

/// The cause of a refusal by form; `nil` if the line is not refused so.
func cause(_ line: String) -> RequestFault.Cause? {
    do throws(RequestFault) {
        _ = try draft(line)
        return nil
    } catch {
        guard case .badRequest(let cause) = error else { return nil }
        return cause
    }
}

func canonical(_ line: String) throws(RequestFault) -> [UInt8] {
    try draft(line).withCanonicalBytes { $0 }
}

func currency(_ code: String) throws -> Currency {
    try #require(Currency(code: code))
}

/// SplitMix64: the same numbers for the same seed everywhere.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// The seed of a randomized test: `HOLDFAST_TEST_SEED` replays one, else a fixed one.
    static let seed = ProcessInfo.processInfo.environment["HOLDFAST_TEST_SEED"].flatMap(UInt64.init) ?? 20_260_101
}

/// What to say when a randomized test fails.
func replay(_ test: String) -> Comment {
    "replay: HOLDFAST_TEST_SEED=\(SeededGenerator.seed) swift test --filter \(test)"
}

/// A file of the repository's fixtures.
func fixture(_ path: String, from here: StaticString = #filePath) throws -> String {
    let root = URL(fileURLWithPath: "\(here)").deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent()
    return try String(contentsOf: root.appendingPathComponent("fixtures/\(path)"), encoding: .utf8)
}
