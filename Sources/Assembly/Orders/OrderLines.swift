import Foundation

// The control socket's language: one JSON object a line, an order there and a result back.

extension OperatorOrder {
    /// Reads a line of the control socket, without its end.
    public init(line: some Sequence<UInt8>) throws(OrderFault) {
        do {
            self = try JSONDecoder().decode(OperatorOrder.self, from: Data(line))
        } catch let fault as OrderFault {
            throw fault
        } catch {
            throw OrderFault("the line is no order: it must be one JSON object with “version” and “order”")
        }
    }

    /// The order as a line of the control socket, with its end.
    public var line: [UInt8] { get throws { try JSONLine.encode(self) } }
}

extension OrderResult {
    /// Reads the server's reply, without its end.
    init(line: some Sequence<UInt8>) throws(ControlSocketError) {
        do {
            self = try JSONDecoder().decode(OrderResult.self, from: Data(line))
        } catch {
            throw ControlSocketError("the server's reply cannot be read; use the same release of both programs", 0)
        }
    }

    /// The result as a line of the control socket, with its end.
    public var line: [UInt8] { get throws { try JSONLine.encode(self) } }

    /// The answer to a line that is no order.
    public init(_ fault: OrderFault) { self.init(.invalid, fault.description) }
}

private enum JSONLine {
    static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = JSONEncoder()
        // Without line ends within: the encoder escapes those in texts.
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return Array(try encoder.encode(value)) + [UInt8(ascii: "\n")]
    }
}
