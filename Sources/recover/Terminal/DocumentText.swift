import Foundation

/// Documents for programs: keys in snake case and in order, nothing in a text that a terminal obeys.
enum DocumentText {
    /// - Parameter isOneLine: for streams of documents, one a line.
    static func json(_ document: some Encodable, isOneLine: Bool = false) throws -> String {
        let encoder = JSONEncoder()
        encoder.keyEncodingStrategy = .convertToSnakeCase
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        if !isOneLine { encoder.outputFormatting.insert(.prettyPrinted) }
        return String(decoding: try encoder.encode(document), as: UTF8.self).printableJSON
    }
}
