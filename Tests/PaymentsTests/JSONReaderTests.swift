import Testing

@testable import Payments

@Suite("JSON as RFC 8259 has it")
struct JSONReaderTests {
    @Test("Every kind of value is read, strings unescaped and numbers as they were written")
    func values() throws {
        let text =
            #" {"s":"a\"\\\/\b\f\n\r\tz","n":-0.50E+2,"t":true,"f":false,"z":null,"a":[1,[ ],"x"],"o":{"k":{}},"":""} "#
        let read = try object(text)
        #expect(read.members.map(\.key) == ["s", "n", "t", "f", "z", "a", "o", ""])
        #expect(read["s"] == .string("a\"\\/\u{8}\u{C}\n\r\tz"))
        #expect(read["n"] == .number("-0.50E+2"))
        #expect(read["t"] == .bool(true))
        #expect(read["f"] == .bool(false))
        #expect(read["z"] == .null)
        #expect(read["a"] == .array([.number("1"), .array([]), .string("x")]))
        #expect(read["o"] == .object(JSONObject(members: [.init(key: "k", value: .object(JSONObject(members: [])))])))
        #expect(read[""] == .string(""))
        #expect(read["absent"] == nil)
    }

    @Test(
        "Valid texts are taken",
        arguments: [
            "{}", " \t\r\n{ \t\r\n} \t\r\n", #"{"a":0}"#, #"{"a":-0}"#, #"{"a":0.0}"#, #"{"a":1e0}"#, #"{"a":1E-7}"#,
            #"{"a":0e999}"#,
            #"{"a":0.000e-999999999999999999999}"#, #"{"a":1.7976931348623157e308}"#, #"{"a":5e-324}"#, #"{"a":1e308}"#,
            #"{"a":123456789012345678901234567890}"#, #"{"a":[]}"#, #"{"a":[[[]]]}"#, #"{"a":{"b":{"c":{}}}}"#,
            #"{"\u0000":1}"#,
            #"{"a":"\u0000\u001f\u007f"}"#, "{\"a\":\"\u{7F}\"}", "{\"a\":\"é\u{2028}😀\u{FFFF}\u{10FFFF}\"}",
            #"{"a":"\ud83d\uDE00"}"#,
            #"{"a":"\uD800\uDC00\uDBFF\uDFFF"}"#, #"{"a":"\\u0041"}"#, #"{"a":"/"}"#, #"{"a":1,"A":1,"a ":1,"":1}"#,
        ])
    func accepted(text: String) {
        #expect(problem(text) == nil)
    }

    @Test(
        "What is no JSON object is refused for the right reason",
        arguments: [
            ("", .unexpectedEnd), (" ", .unexpectedEnd), ("{", .unexpectedEnd), ("null", .notAnObject),
            ("[]", .notAnObject),
            ("1", .notAnObject), (#""a""#, .notAnObject), ("}", .notAnObject), ("\u{FEFF}{}", .notAnObject),
            ("\0{}", .notAnObject),
            ("{}{}", .trailingText), ("{} x", .trailingText), ("{}}", .trailingText), ("{}\0", .trailingText),
            ("{},", .trailingText),
            (#"{"a":1,}"#, .unexpectedCharacter), ("{,}", .unexpectedCharacter), (#"{,"a":1}"#, .unexpectedCharacter),
            (#"{"a":1,,"b":1}"#, .unexpectedCharacter), (#"{"a" 1}"#, .unexpectedCharacter),
            (#"{"a"=1}"#, .unexpectedCharacter),
            (#"{"a"::1}"#, .unexpectedCharacter), (#"{"a":}"#, .unexpectedCharacter),
            (#"{"a":1 "b":2}"#, .unexpectedCharacter),
            (#"{"a":1:2}"#, .unexpectedCharacter), ("{a:1}", .unexpectedCharacter), ("{'a':1}", .unexpectedCharacter),
            ("{1:1}", .unexpectedCharacter), ("{null:1}", .unexpectedCharacter), (#"{"a"}"#, .unexpectedCharacter),
            (#"{"a":1/**/}"#, .unexpectedCharacter), (#"{"a":1//"#, .unexpectedCharacter),
            (#"{"a":[1,]}"#, .unexpectedCharacter),
            (#"{"a":[,1]}"#, .unexpectedCharacter), (#"{"a":[1 2]}"#, .unexpectedCharacter),
            (#"{"a":[1}}"#, .unexpectedCharacter),
            (#"{"a":{]}"#, .unexpectedCharacter), (#"{"a":True}"#, .unexpectedCharacter),
            (#"{"a":tru}"#, .unexpectedCharacter),
            (#"{"a":nul}"#, .unexpectedCharacter), (#"{"a":truex}"#, .unexpectedCharacter),
            (#"{"a":undefined}"#, .unexpectedCharacter),
            ("{\u{A0}}", .unexpectedCharacter), ("{\u{B}}", .unexpectedCharacter), ("{\u{C}}", .unexpectedCharacter),
            ("{\u{2028}}", .unexpectedCharacter), ("{\"a\":\u{FEFF}1}", .unexpectedCharacter),
            ("{\"a\"\0:1}", .unexpectedCharacter),
            (#"{"a""#, .unexpectedEnd), (#"{"a":"#, .unexpectedEnd), (#"{"a":1"#, .unexpectedEnd),
            (#"{"a":1,"#, .unexpectedEnd),
            (#"{"a":["#, .unexpectedEnd), (#"{"a":[1"#, .unexpectedEnd), (#"{"a":[1,"#, .unexpectedEnd),
            (#"{"a":tr"#, .unexpectedEnd),
            (#"{"a":"x"#, .unexpectedEnd), (#"{"a":"x\"#, .unexpectedEnd), (#"{"a":"\u00"#, .unexpectedEnd),
            (#"{"a":-"#, .unexpectedEnd),
            (#"{"a":1."#, .unexpectedEnd), (#"{"a":1e+"#, .unexpectedEnd), (#"{"a":"\ud83d\"#, .loneSurrogate),
        ] as [(String, JSONFault.Problem)])
    func refused(text: String, expected: JSONFault.Problem) {
        #expect(problem(text) == expected)
    }

    @Test(
        "A number is written as RFC 8259 section 6 has it",
        arguments: [
            "01", "00", "-01", "007", "0123.5", "1.", "-1.", "1.e3", "1e", "1e+", "1E-", "-", "-a", "--1", "-.5",
            "1.-5", "1ee3", "1e.5",
            "00e1", "-Infinity", "-NaN",
        ])
    func invalidNumbers(token: String) {
        #expect(problem(#"{"a":\#(token)}"#) == .invalidNumber)
        #expect(problem(#"{"a":[\#(token),1]}"#) == .invalidNumber)
    }

    @Test(
        "What is no number at all, or goes on after one, is no value",
        arguments: [
            ".5", "+1", "NaN", "Infinity", "0x10", "1_0", "1.2.3", "1e5.5", "1a", "٥", "1\u{0660}", "1e5e5", "0-1",
            "1-1",
        ])
    func notNumbers(token: String) {
        #expect(problem(#"{"a":\#(token)}"#) == .unexpectedCharacter)
    }

    @Test("A number must be one that a double can hold, above and below")
    func range() {
        for token in [
            "1e400", "-1e400", "1e309", "1.8e308", "1e999999999999999999999999", "1e-400", "-1e-400", "1e-324",
            "0.1e-323",
            "1" + String(repeating: "0", count: 309), String(repeating: "9", count: 400) + ".5", "1e+400",
        ] {
            #expect(problem(#"{"a":\#(token)}"#) == .numberOutOfRange, "\(token)")
        }
        for token in [
            "1" + String(repeating: "0", count: 308), "0." + String(repeating: "0", count: 400), "-0e400",
            "0." + String(repeating: "0", count: 400) + "1e400", "3e-324",
        ] {
            #expect(problem(#"{"a":\#(token)}"#) == nil, "\(token)")
        }
    }

    @Test("No key twice, at any level, however it is spelled, among few or many")
    func duplicateKeys() {
        for text in [
            #"{"a":1,"a":1}"#, #"{"a":1,"b":2,"a":3}"#, #"{"a":1,"\u0061":2}"#, #"{"\u0061":1,"a":2}"#, #"{"":1,"":2}"#,
            #"{"x":{"a":1,"a":1}}"#, #"{"x":[{"a":1,"\u0061":1}]}"#, #"{"é":1,"\u00e9":2}"#,
            #"{"\ud83d\ude00":1,"😀":2}"#,
            #"{"/":1,"\/":2}"#, #"{"a":null,"a":null}"#,
        ] {
            #expect(problem(text) == .duplicateKey, "\(text)")
        }
        for count in 1...70 {
            let keys = (0..<count).map { #""k\#($0)":1"# }
            #expect(problem("{" + keys.joined(separator: ",") + "}") == nil)
            for repeated in [0, count / 2, count - 1] {
                let text = "{" + (keys + [#""\u006b\#(repeated)":1"#]).joined(separator: ",") + "}"
                #expect(problem(text) == .duplicateKey, "key \(repeated) of \(count)")
            }
        }
    }

    @Test("Keys are compared by their bytes: spellings that Unicode holds for equivalent are different keys")
    func equivalentKeys() throws {
        let read = try object("{\"\u{E9}\":1,\"e\u{301}\":2,\"K\":3,\"\u{212A}\":4}")
        #expect(read["\u{E9}"] == .number("1"))
        #expect(read["e\u{301}"] == .number("2"))
        #expect(read["K"] == .number("3"))
        #expect(read["\u{212A}"] == .number("4"))
        let many = (0..<40).map { "\"\($0)\":0" }.joined(separator: ",")
        #expect(problem("{\(many),\"\u{E9}\":1,\"e\u{301}\":2}") == nil)
    }

    @Test("Nesting is bounded, for objects and arrays alike, and no depth exhausts the stack")
    func depth() throws {
        for levels in 1...PaymentLimits.jsonDepthMax {
            let inner = String(repeating: "[", count: levels - 1) + String(repeating: "]", count: levels - 1)
            #expect(problem(#"{"a":\#(inner.isEmpty ? "1" : inner)}"#) == nil, "\(levels)")
            let objects = String(repeating: #"{"a":"#, count: levels) + "1" + String(repeating: "}", count: levels)
            #expect(problem(objects) == nil, "\(levels)")
        }
        #expect(problem(#"{"a":[[[[]]]]}"#) == .tooDeep)
        #expect(problem(#"{"a":{"a":{"a":{"a":{}}}}}"#) == .tooDeep)
        #expect(problem(#"{"a":[{"a":[{}]}]}"#) == .tooDeep)
        #expect(problem(#"{"a":"# + String(repeating: "[", count: 100_000)) == .tooDeep)
        #expect(problem(String(repeating: #"{"a":"#, count: 100_000)) == .tooDeep)
        _ = try object(#"{"a":1}"#, depthMax: 1)
        #expect(throws: JSONFault(problem: .tooDeep, offset: 5)) { try object(#"{"a":{}}"#, depthMax: 1) }
        #expect(throws: Never.self) { try object(#"{"a":[[[[[[]]]]]]}"#, depthMax: 7) }
    }

    @Test("Raw control characters are refused in strings and keys")
    func controlCharacters() {
        for byte in UInt8(0)..<0x20 {
            #expect(
                problem(Array(#"{"a":"x"#.utf8) + [byte] + Array(#""}"#.utf8)) == .controlCharacterInString, "\(byte)")
            #expect(
                problem(Array(#"{"a"#.utf8) + [byte] + Array(#"":1}"#.utf8)) == .controlCharacterInString, "\(byte)")
            #expect(
                problem(Array(#"{"a":"\n"#.utf8) + [byte] + Array(#""}"#.utf8)) == .controlCharacterInString, "\(byte)")
        }
    }

    @Test(
        "Only the escapes of RFC 8259 section 7 are known",
        arguments: [
            #"\a"#, #"\x41"#, #"\'"#, #"\0"#, #"\ "#, #"\U0041"#, #"\u004"#, #"\u00g0"#, #"\u 041"#, #"\u-041"#,
            #"\u{41}"#, #"\v"#,
        ])
    func invalidEscapes(escape: String) {
        #expect(problem(#"{"a":"\#(escape)"}"#) == .invalidEscape)
        #expect(problem(#"{"\#(escape)":1}"#) == .invalidEscape)
    }

    @Test(
        "Half of a surrogate pair is no character",
        arguments: [
            #"\ud800"#, #"\udfff"#, #"\ud83dx"#, #"\ud83d\n"#, #"\ud83d\u0041"#, #"\ud83d\ud83d"#, #"\ude00\ud83d"#,
            #"\ud83d\ud83d\ude00"#, #"\uDC00"#, #"\ud83d "#,
        ])
    func loneSurrogates(escape: String) {
        #expect(problem(#"{"a":"\#(escape)"}"#) == .loneSurrogate)
    }

    @Test(
        "Strings are valid UTF-8, with and without an escape beside",
        arguments: [
            [0x80], [0xBF], [0xC0, 0x80], [0xC1, 0xBF], [0xC3], [0xC3, 0x28], [0xE0, 0x80, 0x80], [0xE0, 0x9F, 0xBF],
            [0xE2, 0x82],
            [0xED, 0xA0, 0x80], [0xED, 0xBF, 0xBF], [0xF0, 0x80, 0x80, 0x80], [0xF0, 0x8F, 0xBF, 0xBF],
            [0xF0, 0x9F, 0x98],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80], [0xFE], [0xFF],
            [0xED, 0xA0, 0xBD, 0xED, 0xB8, 0x80],
        ] as [[UInt8]])
    func invalidUTF8(bytes: [UInt8]) {
        #expect(problem(Array(#"{"a":""#.utf8) + bytes + Array(#""}"#.utf8)) == .invalidUTF8)
        #expect(problem(Array(#"{"a":"\n"#.utf8) + bytes + Array(#""}"#.utf8)) == .invalidUTF8)
        #expect(problem(Array(#"{""#.utf8) + bytes + Array(#"":1}"#.utf8)) == .invalidUTF8)
        #expect(problem(Array("{".utf8) + bytes + Array("}".utf8)) == .unexpectedCharacter)
    }

    @Test("A fault says where and why, and quotes nothing")
    func faults() {
        #expect(throws: JSONFault(problem: .duplicateKey, offset: 7)) { try object(#"{"a":1,"a":2}"#) }
        #expect(throws: JSONFault(problem: .trailingText, offset: 3)) { try object("{} 4111111111111111") }
        let fault = JSONFault(problem: .trailingText, offset: 3)
        #expect(fault.description == "there is text after the JSON object; send one object a request (at byte 3)")
    }

    @Test("The largest texts of one shape take time in proportion to their size")
    func noQuadraticWork() throws {
        // 200 million pairs of keys with a long common prefix.
        let prefix = String(repeating: "k", count: 200)
        let members = (0..<20_000).map { #""\#(prefix)\#($0)":1"# }.joined(separator: ",")
        let clock = ContinuousClock()
        let start = clock.now
        #expect(try object("{\(members)}").members.count == 20_000)
        let duration = clock.now - start
        #expect(duration < .seconds(20), "linear work takes well below a second, quadratic work minutes")
    }
}
