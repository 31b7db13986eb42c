import Foundation
import Testing

@testable import Payments

/// Random texts, from a seed that a failure names.
@Suite("JSON, randomized")
struct JSONMutationTests {
    private static let seeds = [
        #"{"request_id":"3f2b8c1e-7a55","pan":"4111111111111111","amount":"12.34","currency":"USD","type":"AUTH"}"#,
        #"{"pan":4111111111111111,"amount":10.5e0,"x":[1,-2.5E+3,{"y":[true,null]}],"s":"\u00e9\ud83d\ude00\n\"\\"}"#,
        "{\"é😀\":\"\u{10FFFF}\",\"\":{},\"a\":[],\"b\":[[0,-0,0.0]]}",
        #" { "a" : [ 1 , 2 ] , "b" : { "c" : "d" } } "#,
    ]

    private static let fragments = [
        "\"", "\\", "{", "}", "[", "]", ":", ",", "\\u", "\\ud800", "\\udc00", "e", "E", ".", "-", "+", "0", "9",
        "null", "true", "false", "1e999",
        "\0", "\n", " ", "é", "😀", "\"a\":1,", "[[[[",
    ].map { Array($0.utf8) }

    /// What the reader takes, a lenient reader takes too, and written and read again it is the same.
    @Test("No mutation of a text crashes the reader or slips through it")
    func mutations() throws {
        var generator = SeededGenerator(seed: SeededGenerator.seed)
        var accepted = 0
        for round in 0..<40_000 {
            var text = Array(Self.seeds[round % Self.seeds.count].utf8)
            for _ in 0..<Int.random(in: 1...4, using: &generator) { mutate(&text, &generator) }
            guard let read = try? JSONObject(json: text.span) else { continue }
            accepted += 1
            let note = Comment("round \(round); \(replay("JSONMutationTests"))")
            #expect((try? JSONSerialization.jsonObject(with: Data(text))) is [String: Any], note)
            let written = Array(JSONText.write(.object(read)).utf8)
            #expect(try JSONObject(json: written.span) == read, note)
        }
        // The mutations are mild enough that both outcomes are tried.
        #expect(accepted > 1000 && accepted < 39_000, "\(accepted) accepted")
    }

    @Test("Every prefix and every single changed byte of a text is read or refused, never a crash")
    func allSmallChanges() {
        for seed in Self.seeds {
            let text = Array(seed.utf8)
            let end = text.lastIndex(of: UInt8(ascii: "}")) ?? 0
            for length in 0...end {
                #expect(problem(Array(text[..<length])) != nil, "a text without its end, \(length) bytes")
            }
            for position in text.indices {
                for byte in UInt8.min...UInt8.max {
                    var changed = text
                    changed[position] = byte
                    if let read = try? JSONObject(json: changed.span) { #expect(read.members.count <= 8) }
                }
            }
        }
    }

    @Test("Random requests built from mutated lines are judged without a crash, and their hash can always be made")
    func mutatedRequests() {
        var generator = SeededGenerator(seed: SeededGenerator.seed &+ 1)
        var judged: [String: Int] = [:]
        for _ in 0..<20_000 {
            var line = Array(Self.seeds[0].utf8)
            for _ in 0..<Int.random(in: 1...2, using: &generator) { mutate(&line, &generator) }
            do throws(RequestFault) {
                let draft = try RequestDraft(json: line.span)
                #expect(draft.withCanonicalBytes { $0.count } > 22)
                _ = try draft.validated()
                judged["accepted", default: 0] += 1
            } catch {
                switch error {
                case .badRequest: judged["bad_request", default: 0] += 1
                case .luhnFailed: judged["luhn_failed", default: 0] += 1
                case .amountInvalid: judged["amount_invalid", default: 0] += 1
                }
            }
        }
        #expect(judged.count == 4, "every verdict is reached: \(judged); \(replay("JSONMutationTests"))")
    }

    @Test("Random valid values, randomly spelled, are read as what they are")
    func generated() throws {
        var generator = SeededGenerator(seed: SeededGenerator.seed &+ 2)
        for round in 0..<4000 {
            let value = randomObject(depth: 1, &generator)
            let text = Array(JSONText.write(.object(value), spelling: &generator).utf8)
            let note = Comment("round \(round); \(replay("JSONMutationTests"))")
            #expect(try JSONObject(json: text.span) == value, note)
        }
    }

    private func mutate(_ text: inout [UInt8], _ generator: inout SeededGenerator) {
        let position = Int.random(in: 0...text.count, using: &generator)
        let end = min(text.count, position + Int.random(in: 0...8, using: &generator))
        switch Int.random(in: 0..<6, using: &generator) {
        case 0: if position < text.count { text[position] = UInt8.random(in: 0...255, using: &generator) }
        case 1: if position < text.count { text[position] ^= 1 << UInt8.random(in: 0..<8, using: &generator) }
        case 2: text.removeSubrange(position..<end)
        case 3: text.insert(contentsOf: Array(text[position..<end]), at: position)
        case 4: text.insert(contentsOf: Self.fragments.randomElement(using: &generator) ?? [], at: position)
        default: if position < text.count { text.swapAt(position, Int.random(in: 0..<text.count, using: &generator)) }
        }
    }

    private func randomObject(depth: Int, _ generator: inout SeededGenerator) -> JSONObject {
        let members = (0..<Int.random(in: 0...(depth == 1 ? 24 : 3), using: &generator)).map { index in
            JSONObject.Member(
                key: randomString(&generator) + String(index), value: randomValue(depth: depth + 1, &generator))
        }
        return JSONObject(members: members)
    }

    private func randomValue(depth: Int, _ generator: inout SeededGenerator) -> JSONValue {
        let kinds = depth <= PaymentLimits.jsonDepthMax ? 6 : 4
        switch Int.random(in: 0..<kinds, using: &generator) {
        case 0: return .null
        case 1: return .bool(Bool.random(using: &generator))
        case 2: return .string(randomString(&generator))
        case 3:
            return .number(
                ["0", "-0", "12.50", "4111111111111111", "1e5", "-2.5E-7", "0.1e+3"].randomElement(using: &generator)
                    ?? "0")
        case 4: return .object(randomObject(depth: depth, &generator))
        default:
            let count = Int.random(in: 0...3, using: &generator)
            return .array((0..<count).map { _ in randomValue(depth: depth + 1, &generator) })
        }
    }

    private func randomString(_ generator: inout SeededGenerator) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "Z", "\"", "\\", "/", "\n", "\0", "\u{1F}", "\u{7F}", "é", "\u{301}", "\u{2028}", "😀", "\u{10FFFF}",
        ]
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...12, using: &generator) {
            text.append(alphabet.randomElement(using: &generator) ?? "a")
        }
        return String(text)
    }
}

/// Writes JSON, plainly or with random blanks and escapes.
private enum JSONText {
    static func write(_ value: JSONValue) -> String {
        var generator: SeededGenerator?
        return write(value, &generator)
    }

    static func write(_ value: JSONValue, spelling generator: inout SeededGenerator) -> String {
        var optional: SeededGenerator? = generator
        defer { generator = optional ?? generator }
        return write(value, &optional)
    }

    private static func write(_ value: JSONValue, _ generator: inout SeededGenerator?) -> String {
        switch value {
        case .null: return "null"
        case .bool(let flag): return flag ? "true" : "false"
        case .number(let token): return token
        case .string(let text): return quoted(text, &generator)
        case .array(let values):
            var parts: [String] = []
            for value in values { parts.append(blank(&generator) + write(value, &generator) + blank(&generator)) }
            return "[" + parts.joined(separator: ",") + (parts.isEmpty ? blank(&generator) : "") + "]"
        case .object(let object):
            var parts: [String] = []
            for member in object.members {
                let key = blank(&generator) + quoted(member.key, &generator) + blank(&generator)
                parts.append(key + ":" + blank(&generator) + write(member.value, &generator) + blank(&generator))
            }
            return "{" + parts.joined(separator: ",") + (parts.isEmpty ? blank(&generator) : "") + "}"
        }
    }

    private static func blank(_ generator: inout SeededGenerator?) -> String {
        guard var random = generator else { return "" }
        defer { generator = random }
        return ["", "", " ", "\t", "\n", "\r"].randomElement(using: &random) ?? ""
    }

    private static func quoted(_ text: String, _ generator: inout SeededGenerator?) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            var isEscaped = scalar == "\"" || scalar == "\\" || scalar.value < 0x20
            if var random = generator {
                isEscaped = isEscaped || Bool.random(using: &random)
                generator = random
            }
            if isEscaped {
                for unit in String(scalar).utf16 {
                    let digits = String(unit, radix: 16)
                    quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            } else {
                quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
