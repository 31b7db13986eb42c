/// A value of a JSON text (RFC 8259). Its descriptions tell its kind and never its content: requests hold card numbers.
public enum JSONValue: Sendable, Equatable {
    /// The literal `null`.
    case null
    /// The literals `true` and `false`.
    case bool(Bool)
    /// The token as it was written, such as `10.50`; it has never been a floating-point number.
    case number(String)
    /// Unescaped.
    case string(String)
    /// In the order of the text.
    case array([JSONValue])
    /// Its members, no key twice.
    case object(JSONObject)

    /// What the value is, in words for a message: `a string`.
    public var kindName: String {
        switch self {
        case .null: "null"
        case .bool: "a boolean"
        case .number: "a number"
        case .string: "a string"
        case .array: "an array"
        case .object: "an object"
        }
    }

    /// Compares bytes: unlike `String`, RFC 8259 (section 8.3) knows no equivalent spellings of a character.
    public static func == (left: Self, right: Self) -> Bool {
        switch (left, right) {
        case (.null, .null): true
        case (.bool(let left), .bool(let right)): left == right
        case (.number(let left), .number(let right)), (.string(let left), .string(let right)):
            left.hasSameBytes(as: right)
        case (.array(let left), .array(let right)): left == right
        case (.object(let left), .object(let right)): left == right
        case (.null, _), (.bool, _), (.number, _), (.string, _), (.array, _), (.object, _): false
        }
    }
}

extension JSONValue: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { kindName }
    public var debugDescription: String { kindName }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// A JSON object whose keys are all different.
public struct JSONObject: Sendable, Equatable {
    /// A key and its value.
    public struct Member: Sendable, Equatable {
        /// Unescaped.
        public let key: String
        /// What the key stands for.
        public let value: JSONValue

        public static func == (left: Self, right: Self) -> Bool {
            left.key.hasSameBytes(as: right.key) && left.value == right.value
        }
    }

    /// In the order of the text.
    public let members: [Member]

    init(members: [Member]) {
        self.members = members
    }

    /// Reads a text that is one object, exactly as RFC 8259 has it, and stricter where it leaves a choice: no key twice
    /// in an object (compared after unescaping), no lone surrogate, no number outside of a double's range, no byte
    /// order mark.
    ///
    /// - Parameters:
    ///   - text: the UTF-8 text; blanks around the object are fine, whatever else is not.
    ///   - depthMax: levels of nesting, at least 1: the object itself.
    public init(json text: Span<UInt8>, depthMax: Int = PaymentLimits.jsonDepthMax) throws(JSONFault) {
        self = try JSONReader.object(in: text, depthMax: depthMax)
    }

    /// The value of `key`; `nil` if there is none.
    public subscript(key: String) -> JSONValue? {
        members.first { $0.key.hasSameBytes(as: key) }?.value
    }
}

extension JSONObject: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "an object of \(members.count) members" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

extension JSONObject.Member: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "a member that is \(value.kindName)" }
    public var debugDescription: String { description }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// Why a text was not taken as JSON, and where. It quotes nothing of the text.
public struct JSONFault: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: Sendable, Hashable {
        /// The text begins with something else than an object.
        case notAnObject
        /// The text ends within a value.
        case unexpectedEnd
        /// The grammar allows no such character there.
        case unexpectedCharacter
        /// More than blanks follows the object.
        case trailingText
        /// More levels than allowed.
        case tooDeep
        /// An object has a key a second time.
        case duplicateKey
        /// A character below U+0020 that is not escaped.
        case controlCharacterInString
        /// A backslash before something unknown, or fewer than four hexadecimal digits after `\u`.
        case invalidEscape
        /// An escaped surrogate without its other half.
        case loneSurrogate
        /// Bytes of a string that are not UTF-8: overlong, cut short, a surrogate, or above U+10FFFF.
        case invalidUTF8
        /// A leading zero, or digits missing after a minus, a point or an exponent.
        case invalidNumber
        /// A double would be infinite, or zero where the number is not.
        case numberOutOfRange
    }

    /// What is wrong.
    public let problem: Problem
    /// Where reading stopped, bytes from the start of the text.
    public let offset: Int

    public var description: String {
        let text =
            switch problem {
            case .notAnObject: "the text must be one JSON object"
            case .unexpectedEnd: "the JSON text ends too early"
            case .unexpectedCharacter: "the JSON text has a character that is not allowed there"
            case .trailingText: "there is text after the JSON object; send one object a request"
            case .tooDeep: "the JSON text is nested too deeply"
            case .duplicateKey: "the JSON object has the same key twice"
            case .controlCharacterInString: "a JSON string has a raw control character; escape it"
            case .invalidEscape: "a JSON string has an unknown escape"
            case .loneSurrogate: "a JSON string escapes half of a surrogate pair"
            case .invalidUTF8: "a JSON string is not valid UTF-8"
            case .invalidNumber: "a number is not written as JSON has it"
            case .numberOutOfRange: "a number is outside of a double's range"
            }
        return "\(text) (at byte \(offset))"
    }
}

extension String {
    func hasSameBytes(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8)
    }
}
