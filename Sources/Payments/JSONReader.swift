/// Reads one JSON text (RFC 8259) in one pass from left to right.
///
/// Work and memory are proportional to the text; recursion is bounded by the depth. The text is handed to every method
/// because a stored span would tie the reader to its lifetime.
struct JSONReader {
    private var position = 0
    private let depthMax: Int

    static func object(in text: Span<UInt8>, depthMax: Int) throws(JSONFault) -> JSONObject {
        precondition(depthMax >= 1, "the object itself is one level")
        var reader = JSONReader(depthMax: depthMax)
        reader.skipBlanks(text)
        guard let first = reader.byte(text) else { throw reader.fault(.unexpectedEnd) }
        guard first == UInt8(ascii: "{") else { throw reader.fault(.notAnObject) }
        let object = try reader.object(text, depth: 1)
        reader.skipBlanks(text)
        guard reader.position == text.count else { throw reader.fault(.trailingText) }
        return object
    }

    private init(depthMax: Int) {
        self.depthMax = depthMax
    }

    // MARK: Structure

    /// - Parameter depth: the level of the value; containers deeper than the limit are refused before they are entered.
    private mutating func value(_ text: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONValue {
        guard let first = byte(text) else { throw fault(.unexpectedEnd) }
        switch first {
        case UInt8(ascii: "\""): return .string(try string(text))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number(try number(text))
        case UInt8(ascii: "{"): return .object(try object(text, depth: depth))
        case UInt8(ascii: "["): return .array(try array(text, depth: depth))
        case UInt8(ascii: "t"): return try literal("true", .bool(true), text)
        case UInt8(ascii: "f"): return try literal("false", .bool(false), text)
        case UInt8(ascii: "n"): return try literal("null", .null, text)
        default: throw fault(.unexpectedCharacter)
        }
    }

    private mutating func object(_ text: Span<UInt8>, depth: Int) throws(JSONFault) -> JSONObject {
        guard depth <= depthMax else { throw fault(.tooDeep) }
        position += 1
        skipBlanks(text)
        if skip(UInt8(ascii: "}"), text) { return JSONObject(members: []) }
        var members: [JSONObject.Member] = []
        // A typical request's fields, in one allocation.
        if depth == 1 { members.reserveCapacity(8) }
        var keys = UniqueKeys()
        while true {
            let start = position
            guard let first = byte(text) else { throw fault(.unexpectedEnd) }
            guard first == UInt8(ascii: "\"") else { throw fault(.unexpectedCharacter) }
            let key = try string(text)
            guard keys.insert(key, after: members) else {
                throw JSONFault(problem: .duplicateKey, offset: start)
            }
            skipBlanks(text)
            try expect(UInt8(ascii: ":"), text)
            skipBlanks(text)
            members.append(JSONObject.Member(key: key, value: try value(text, depth: depth + 1)))
            skipBlanks(text)
            if skip(UInt8(ascii: "}"), text) { return JSONObject(members: members) }
            try expect(UInt8(ascii: ","), text)
            skipBlanks(text)
        }
    }

    private mutating func array(_ text: Span<UInt8>, depth: Int) throws(JSONFault) -> [JSONValue] {
        guard depth <= depthMax else { throw fault(.tooDeep) }
        position += 1
        skipBlanks(text)
        if skip(UInt8(ascii: "]"), text) { return [] }
        var values: [JSONValue] = []
        while true {
            values.append(try value(text, depth: depth + 1))
            skipBlanks(text)
            if skip(UInt8(ascii: "]"), text) { return values }
            try expect(UInt8(ascii: ","), text)
            skipBlanks(text)
        }
    }

    private mutating func literal(
        _ word: String, _ value: JSONValue, _ text: Span<UInt8>
    ) throws(JSONFault) -> JSONValue {
        for expected in word.utf8 { try expect(expected, text) }
        return value
    }

    // MARK: Numbers

    private mutating func number(_ text: Span<UInt8>) throws(JSONFault) -> String {
        let start = position
        _ = skip(UInt8(ascii: "-"), text)
        var isZero = true
        if !skip(UInt8(ascii: "0"), text) {
            try digits(text, &isZero)
        } else if let next = byte(text), next.isDigit {
            throw fault(.invalidNumber)
        }
        if skip(UInt8(ascii: "."), text) { try digits(text, &isZero) }
        var hasExponent = false
        if skip(UInt8(ascii: "e"), text) || skip(UInt8(ascii: "E"), text) {
            hasExponent = true
            if !skip(UInt8(ascii: "+"), text) { _ = skip(UInt8(ascii: "-"), text) }
            var isExponentZero = true
            try digits(text, &isExponentZero)
        }
        let token = try makeString(text.extracting(start..<position), at: start)
        // Only an exponent or more digits than the largest double has (309) can leave the range.
        guard hasExponent || position - start > 308, !isZero else { return token }
        guard let size = Double(token), size.isFinite, size != 0 else {
            throw JSONFault(problem: .numberOutOfRange, offset: start)
        }
        return token
    }

    /// One digit or more. `isZero` is cleared by the first that is not 0.
    private mutating func digits(_ text: Span<UInt8>, _ isZero: inout Bool) throws(JSONFault) {
        let start = position
        while let byte = byte(text), byte.isDigit {
            if byte != UInt8(ascii: "0") { isZero = false }
            position += 1
        }
        guard position > start else { throw fault(position == text.count ? .unexpectedEnd : .invalidNumber) }
    }

    // MARK: Strings

    private mutating func string(_ text: Span<UInt8>) throws(JSONFault) -> String {
        position += 1
        let start = position
        while let byte = byte(text) {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try makeString(text.extracting(start..<(position - 1)), at: start)
            case UInt8(ascii: "\\"):
                return try stringWithEscapes(text, from: start)
            case 0..<0x20:
                throw fault(.controlCharacterInString)
            default:
                position += 1
            }
        }
        throw fault(.unexpectedEnd)
    }

    /// Goes on at the first backslash of a string that began at `start`.
    private mutating func stringWithEscapes(_ text: Span<UInt8>, from start: Int) throws(JSONFault) -> String {
        var unescaped: [UInt8] = []
        unescaped.reserveCapacity(position - start + 32)
        for index in start..<position { unescaped.append(text[index]) }
        while let byte = byte(text) {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return try makeString(unescaped.span, at: start)
            case UInt8(ascii: "\\"):
                position += 1
                try escape(text, &unescaped)
            case 0..<0x20:
                throw fault(.controlCharacterInString)
            default:
                unescaped.append(byte)
                position += 1
            }
        }
        throw fault(.unexpectedEnd)
    }

    /// What follows a backslash.
    private mutating func escape(_ text: Span<UInt8>, _ unescaped: inout [UInt8]) throws(JSONFault) {
        guard let letter = byte(text) else { throw fault(.unexpectedEnd) }
        let start = position
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): unescaped.append(letter)
        case UInt8(ascii: "b"): unescaped.append(0x08)
        case UInt8(ascii: "f"): unescaped.append(0x0C)
        case UInt8(ascii: "n"): unescaped.append(0x0A)
        case UInt8(ascii: "r"): unescaped.append(0x0D)
        case UInt8(ascii: "t"): unescaped.append(0x09)
        case UInt8(ascii: "u"):
            guard let scalar = Unicode.Scalar(try escapedScalar(text)) else {
                throw JSONFault(problem: .loneSurrogate, offset: start)
            }
            unescaped.append(contentsOf: scalar.utf8)
        default: throw JSONFault(problem: .invalidEscape, offset: start)
        }
    }

    /// What follows `\u`: a code point, of a surrogate pair if there is one; a lone surrogate is returned as it is.
    private mutating func escapedScalar(_ text: Span<UInt8>) throws(JSONFault) -> UInt32 {
        let high = try fourHexDigits(text)
        let rest = position
        guard (0xD800..<0xDC00).contains(high), skip(UInt8(ascii: "\\"), text), skip(UInt8(ascii: "u"), text) else {
            position = rest
            return high
        }
        let low = try fourHexDigits(text)
        guard (0xDC00..<0xE000).contains(low) else {
            position = rest
            return high
        }
        return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
    }

    private mutating func fourHexDigits(_ text: Span<UInt8>) throws(JSONFault) -> UInt32 {
        var value: UInt32 = 0
        for _ in 0..<4 {
            guard let byte = byte(text) else { throw fault(.unexpectedEnd) }
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt32(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt32(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): value = value << 4 | UInt32(byte - UInt8(ascii: "A") + 10)
            default: throw fault(.invalidEscape)
            }
            position += 1
        }
        return value
    }

    private func makeString(_ bytes: Span<UInt8>, at offset: Int) throws(JSONFault) -> String {
        do throws(UTF8.ValidationError) {
            return String(copying: try UTF8Span(validating: bytes))
        } catch {
            throw JSONFault(problem: .invalidUTF8, offset: offset)
        }
    }

    // MARK: Bytes

    /// The byte at the position; `nil` at the end.
    private func byte(_ text: Span<UInt8>) -> UInt8? {
        position < text.count ? text[position] : nil
    }

    private mutating func skip(_ expected: UInt8, _ text: Span<UInt8>) -> Bool {
        guard byte(text) == expected else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ expected: UInt8, _ text: Span<UInt8>) throws(JSONFault) {
        guard skip(expected, text) else {
            throw fault(position == text.count ? .unexpectedEnd : .unexpectedCharacter)
        }
    }

    private mutating func skipBlanks(_ text: Span<UInt8>) {
        while let byte = byte(text), byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private func fault(_ problem: JSONFault.Problem) -> JSONFault {
        JSONFault(problem: problem, offset: position)
    }
}

/// Finds a key that an object has already, without quadratic work for objects that are all keys.
private struct UniqueKeys {
    private var seen: Set<KeyBytes> = []

    /// - Returns: whether `key` is not one of the keys of `members`.
    mutating func insert(_ key: String, after members: [JSONObject.Member]) -> Bool {
        if members.count < PaymentLimits.jsonMembersComparedMax {
            return !members.contains { $0.key.hasSameBytes(as: key) }
        }
        if members.count == PaymentLimits.jsonMembersComparedMax {
            for member in members { seen.insert(KeyBytes(text: member.key)) }
        }
        return seen.insert(KeyBytes(text: key)).inserted
    }
}

/// A key that is equal to another if its bytes are; `String` would take equivalent spellings for the same.
private struct KeyBytes: Hashable {
    let text: String

    static func == (left: Self, right: Self) -> Bool { left.text.hasSameBytes(as: right.text) }

    func hash(into hasher: inout Hasher) {
        for byte in text.utf8 { hasher.combine(byte) }
        hasher.combine(text.utf8.count)
    }
}

extension UInt8 {
    fileprivate var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }
}
