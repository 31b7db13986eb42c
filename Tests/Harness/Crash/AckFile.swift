import Foundation
import Synchronization

/// A client's own record of what it sent and was told: a line for each event, synced before the client goes on.
///
/// It is what the client could show in a quarrel, so the checker believes it and nothing else.
final class AckFile: Sendable {
    let path: String
    private let descriptor: Int32
    private let failure = Mutex<String?>(nil)

    init(_ path: String) throws {
        self.path = path
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw HarnessError("cannot make \(path): \(String(cString: strerror(errno)))") }
    }

    deinit { close(descriptor) }

    private struct Line: Codable {
        let request: String?
        /// Masked: no card number is written anywhere.
        let card: String
        let amount: String
        let merchant: String?
        let kind: Kind
        let text: String

        enum Kind: String, Codable { case answer, lost, broken }
    }

    /// Lines of several threads do not mix: each is one write(2) to a file opened for appending.
    func note(_ payment: Payment, _ outcome: Exchange.Outcome) {
        let (kind, text): (Line.Kind, String) =
            switch outcome {
            case .answer(let answer): (.answer, answer.raw)
            case .lost: (.lost, "")
            case .broken(let why): (.broken, why)
            }
        let line = Line(
            request: payment.requestID, card: payment.maskedPAN, amount: payment.amount, merchant: payment.merchant,
            kind: kind, text: text)
        guard var bytes = try? JSONEncoder().encode(line) else { return fail("a line cannot be encoded") }
        bytes.append(UInt8(ascii: "\n"))
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        if written != bytes.count || fdatasync(descriptor) != 0 { fail(String(cString: strerror(errno))) }
    }

    private func fail(_ why: String) { failure.withLock { $0 = $0 ?? why } }

    func read() throws -> [Exchange] {
        if let failure = failure.withLock({ $0 }) { throw HarnessError("\(path) could not be written: \(failure)") }
        return try Files.text(path).split(separator: "\n").map { text in
            let line = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
            let payment = Payment(
                requestID: line.request, pan: line.card, amount: line.amount, merchant: line.merchant)
            let outcome: Exchange.Outcome =
                switch line.kind {
                case .answer: .answer(try Answer(line: Array(line.text.utf8)))
                case .lost: .lost
                case .broken: .broken(line.text)
                }
            return Exchange(payment: payment, outcomes: [outcome])
        }
    }
}
