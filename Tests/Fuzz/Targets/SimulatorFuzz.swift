import Foundation
import HTTPService
import NIOCore
import NIOHTTP1
import Synchronization

@testable import ClearingSimulator

/// What the simulator of the network takes: requests, settings of its faults, lines of its books.
///
/// The first byte of an input chooses which; for the books, the line's sum is made right.
enum SimulatorFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        var choices = Choices(input.prefix(1))
        let rest = Array(input.dropFirst())
        switch choices.below(4) {
        case 0: try journal(rest)
        case 1: try faults(rest)
        default: try service(input)
        }
    }

    // MARK: The books

    private static func journal(_ fields: [UInt8]) throws {
        try line(fields)
        var sum = Fingerprint()
        sum.add(fields + [UInt8(ascii: " ")])
        try line(fields + [UInt8(ascii: " ")] + Array(Fingerprint.text(sum.value).utf8))
    }

    private static func line(_ line: [UInt8]) throws {
        guard let entry = JournalLine.decode(line) else { return }
        try hold(JournalLine.encode(entry) == line + [UInt8(ascii: "\n")], "a line of the books is written otherwise")
        var book = ClearingBook()
        book.record(entry)
        // Whatever is read back, the books go on.
        let claim = PaymentClaim(amount: nil, currency: nil)
        for event in [ClearingEvent.abort(claim), .commit(claim, settlement: book.nextSettlement), .abort(claim)] {
            let (next, _) = book.outcome(of: event, for: entry.transaction)
            book.record(next)
            let written = JournalLine.encode(next)
            try hold(JournalLine.decode(written.dropLast()) == next, "the books after an event are not read back")
        }
        try Texts.json(String(buffer: ReplyText.book(book.entries)), "the book")
        try Texts.json(ReplyText.status(entry, transaction: entry.transaction), "a status")
    }

    // MARK: The faults

    private static func faults(_ json: [UInt8]) throws {
        let merged: Faults
        do {
            merged = try Faults().merging(json: json)
        } catch let error as MalformedRequest {
            try Texts.json(ReplyText.error(error.reason), "a refusal")
            return
        }
        try hold(merged.problem == nil, "faults out of range are taken")
        let text = merged.jsonText
        try Texts.jsonLine(text, "the faults")
        try hold(try Faults().merging(json: Array(text.utf8)) == merged, "faults written and read again are others")
        for deviate in [-10.0, 0, 10] {
            let latency = merged.latencyMilliseconds(deviate: deviate)
            try hold(latency >= 0 && latency <= SimulatorLimits.latencyMillisecondsMax, "a latency out of range")
        }
        var random = SeededRandom(seed: 1)
        let fate = RequestFate(faults: merged, random: &random)
        try hold(fate.delayBeforeNanoseconds >= 0 && fate.delayAfterNanoseconds >= 0, "a delay below zero")
    }

    // MARK: Requests

    private static let actions = ["prepare", "commit", "abort", "status", "book", "faults"]

    /// Several requests to one service, each a line of the input; the first byte of a line chooses what is asked.
    private static func service(_ input: [UInt8]) throws {
        let service = ClearingService(
            book: ClearingBook(), journal: nil, faults: Faults(), random: SeededRandom(seed: 1),
            environment: ClearingService.Environment(
                schedule: { _, work in work() }, offload: { work in work() }, giveUp: { _ in }))
        let cards = Texts.cards(in: input)
        for line in input.dropFirst().split(separator: UInt8(ascii: "\n")).prefix(16) {
            var choices = Choices(line.prefix(1))
            let action = choices.pick(actions)
            let body = Array(line.dropFirst())
            let isQuestion = choices.isOver && ["status", "book"].contains(action)
            let path = "/clearing/\(action)" + (action == "status" ? "/" + Texts.text(body) : "")
            let request = ServiceRequest(
                method: isQuestion ? .GET : .POST, path: path, body: ByteBuffer(bytes: body))
            guard let answer = try answer(to: request, of: service) else { continue }
            try hold(answer.status.code != 500, "an internal error for what a client sent")
            let text = String(buffer: answer.body)
            try Texts.json(text, "a reply")
            // A transaction_id may be any text, a card number too; it is repeated.
            if !["status", "book"].contains(action), !text.contains("transaction_id") {
                try Texts.holdNone(of: cards, in: text, "a refusal")
            }
            if action == "prepare", answer.status == .ok { try idempotent(request, text, of: service) }
        }
    }

    private static func idempotent(_ request: ServiceRequest, _ first: String, of service: ClearingService) throws {
        let again = try answer(to: request, of: service)
        try hold(again.map { String(buffer: $0.body) } == first, "a repeated prepare is answered otherwise")
    }

    private static func answer(to request: ServiceRequest, of service: ClearingService) throws -> ServiceAnswer? {
        let answers = Mutex<[ServiceResponse]>([])
        service.respond(to: request) { response in answers.withLock { $0.append(response) } }
        let given = answers.withLock { $0 }
        try hold(given.count == 1, "\(given.count) answers to one request")
        if case .answer(let answer)? = given.first { return answer }
        return nil
    }
}
