/// Something that takes bytes from outside, with what must hold of it whatever the bytes are.
///
/// The same functions are run by libFuzzer (`make fuzz`) and, on the corpora and on mutations of them, by the unit tests.
struct FuzzTarget: Sendable {
    /// Names it in commands, and its folder below fixtures/fuzz.
    let name: String
    /// Longer inputs try nothing new, bytes.
    let bytesMax: Int
    /// Throws ``Finding`` where a property does not hold.
    let run: @Sendable (_ input: [UInt8]) throws -> Void

    /// docs/internals/fuzzing.md says of each what must hold.
    static let all: [FuzzTarget] = [
        FuzzTarget(name: "request", bytesMax: 1024, run: RequestFuzz.run),
        FuzzTarget(name: "connection", bytesMax: 9000, run: ConnectionFuzz.run),
        FuzzTarget(name: "http", bytesMax: 4096, run: HTTPFuzz.run),
        FuzzTarget(name: "clearing-reply", bytesMax: 1024, run: ClearingReplyFuzz.run),
        FuzzTarget(name: "log-value", bytesMax: 2048, run: LogValueFuzz.run),
        FuzzTarget(name: "history", bytesMax: 512, run: HistoryFuzz.run),
        FuzzTarget(name: "name", bytesMax: 256, run: NameFuzz.run),
        FuzzTarget(name: "plan", bytesMax: 8192, run: PlanFuzz.run),
        FuzzTarget(name: "order", bytesMax: 1024, run: OrderFuzz.run),
        FuzzTarget(name: "simulator", bytesMax: 2048, run: SimulatorFuzz.run),
        FuzzTarget(name: "row", bytesMax: 1024, run: RowFuzz.run),
        FuzzTarget(name: "settings", bytesMax: 1024, run: SettingsFuzz.run),
    ]
}

/// A property that does not hold. It quotes nothing of the input: inputs hold card numbers.
struct Finding: Error, CustomStringConvertible {
    let description: String
}

/// Throws a ``Finding`` unless the property holds.
func hold(_ condition: Bool, _ property: @autoclosure () -> String) throws {
    guard condition else { throw Finding(description: property()) }
}

/// Makes choices of an input's bytes, so that a mutation of the input is a small change of what is tried. Past the end every choice
/// is the first one.
struct Choices {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

    var isOver: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func flag() -> Bool { byte() & 1 == 1 }

    /// A number below `count`.
    mutating func below(_ count: Int) -> Int { count > 1 ? Int(byte()) % count : 0 }

    mutating func pick<Element>(_ elements: [Element]) -> Element { elements[below(elements.count)] }

    /// Small numbers, and now and then one at the edge of its type.
    mutating func number() -> UInt64 {
        let byte = byte()
        switch byte {
        case 0xFF: return .max
        case 0xFE: return UInt64(Int64.max)
        case 0xFD: return UInt64(bitPattern: .min)
        case 0xF0...0xFC: return (0..<8).reduce(0) { value, _ in value << 8 | UInt64(self.byte()) }
        default: return UInt64(byte)
        }
    }
}
