import Assembly
import Foundation
import NIOCore
import NIOEmbedded
import NIOHTTP1
import Payments

@testable import HTTPService
@testable import Server

/// A connection to the payment port, from its first byte: what tells the protocols apart, the line protocol, HTTP.
///
/// The first two bytes of an input choose how the rest is cut into what arrives at a time, and when answers come.
enum ConnectionFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        let (sent, whole) = try Conversation.answers(to: input, isOneByOne: Self.speaksHTTP) { channel, desk in
            try channel.pipeline.syncOperations.addHandler(
                ProtocolSniffer(front: desk.front, idleTimeout: .seconds(60)))
        }
        if Self.speaksHTTP(sent) { return try HTTPAnswers.check(whole) }
        let lines = whole.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        try hold(lines.last?.isEmpty == true, "an answer without its line end")
        try hold(
            lines.count - 1 == expectedAnswers(to: sent),
            "\(lines.count - 1) answers to \(expectedAnswers(to: sent)) requests")
        for line in lines.dropLast() where !["OK", "NOT_READY"].contains(Texts.text(line)) {
            try Texts.jsonLine(Texts.text(line), "an answer")
        }
    }

    /// The wire contract in other words: the first line ends with HTTP's version, begins with a letter as every method does, and is not too long.
    private static func speaksHTTP(_ sent: [UInt8]) -> Bool {
        guard let first = sent.first, first >= UInt8(ascii: "A"), first <= UInt8(ascii: "Z"),
            let end = sent.prefix(PaymentLimits.lineBytesMax + 1).firstIndex(of: UInt8(ascii: "\n"))
        else { return false }
        let line = String(decoding: sent[..<end], as: UTF8.self)
        let bare = line.unicodeScalars.last == "\r" ? String(line.unicodeScalars.dropLast()) : line
        return bare.hasSuffix("HTTP/1.1") || bare.hasSuffix("HTTP/1.0")
    }

    /// One answer a line that is not empty, up to the first that is too long; what is left at the end counts too.
    private static func expectedAnswers(to sent: [UInt8]) -> Int {
        var answers = 0
        let lines = sent.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let isLast = index == lines.count - 1
            let bare = !isLast && line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            if !bare.isEmpty { answers += 1 }
            if bare.count > PaymentLimits.lineBytesMax { break }
        }
        return answers
    }
}

/// A connection to the admin port: HTTP alone.
enum HTTPFuzz {
    @Sendable static func run(_ input: [UInt8]) throws {
        let (_, whole) = try Conversation.answers(to: input, isOneByOne: { _ in true }) { channel, desk in
            try HTTPServiceHandler.addHTTPService(to: channel.pipeline.syncOperations, responder: desk.front.respond)
        }
        try HTTPAnswers.check(whole)
        try checkTarget(Texts.text(input.dropFirst(2).prefix { $0 != UInt8(ascii: "\n") }))
    }

    /// A target that is taken and written again, everything encoded, is the same target.
    private static func checkTarget(_ text: String) throws {
        guard let target = RequestTarget(text) else { return }
        try hold(target.path == "*" || target.path.utf8.first == UInt8(ascii: "/"), "a path begins with no slash")
        func encoded(_ text: String) -> String {
            text.utf8.map { byte in
                let digits = String(byte, radix: 16)
                return "%" + (digits.count == 1 ? "0" : "") + digits
            }.joined()
        }
        guard target.path != "*" else { return }
        let query = target.query.map { encoded($0.name) + "=" + encoded($0.value) }.joined(separator: "&")
        let again = "/" + encoded(String(decoding: target.path.utf8.dropFirst(), as: UTF8.self)) + "?" + query
        try hold(RequestTarget(again) == target, "a target written and read again is another one")
    }
}

/// Says an input to a connection twice: at once, and in pieces with answers that come late and in any order. Both must be answered
/// the same.
private enum Conversation {
    /// - Parameter isOneByOne: whether nothing more is read while a request is in work, as HTTP has it.
    static func answers(
        to input: [UInt8], isOneByOne: ([UInt8]) -> Bool, _ open: (EmbeddedChannel, ScriptedDesk) throws -> Void
    ) throws -> (sent: [UInt8], answered: [UInt8]) {
        var choices = Choices(input.prefix(2))
        let sent = Array(input.dropFirst(2))
        let pieceMax = 1 + Int(choices.byte())
        // More than a connection may have pipelined where nothing is to wait.
        let letsGo = Int(choices.byte() & 3) + (isOneByOne(sent) ? 1024 : 0)
        let whole = try said([sent], ScriptedDesk(holdsAnswers: false), letsGo: 0, open)
        let pieces = stride(from: 0, to: sent.count, by: pieceMax).map {
            Array(sent[$0..<min($0 + pieceMax, sent.count)])
        }
        let cut = try said(pieces, ScriptedDesk(holdsAnswers: true), letsGo: letsGo, open)
        if ProcessInfo.processInfo.environment["HOLDFAST_FUZZ_SHOW"] != nil {
            print("at once:\n\(Texts.text(whole))\nin pieces of \(pieceMax):\n\(Texts.text(cut))")
        }
        try hold(
            HTTPAnswers.comparable(whole) == HTTPAnswers.comparable(cut),
            "what is answered depends on how the bytes arrive and when answers come")
        try Texts.holdNone(of: Texts.cards(in: sent), in: Texts.text(whole), "an answer")
        return (sent, whole)
    }

    /// - Parameter letsGo: answers that are let go after each piece.
    private static func said(
        _ pieces: [[UInt8]], _ desk: ScriptedDesk, letsGo: Int,
        _ open: (EmbeddedChannel, ScriptedDesk) throws -> Void
    ) throws -> [UInt8] {
        let channel = EmbeddedChannel()
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/fuzz")).wait()
        try open(channel, desk)
        var choices = Choices(pieces.joined())
        for piece in pieces where channel.isActive {
            // What a peer's bytes make a handler throw is the handler's to answer; the answer is what counts.
            _ = try? channel.writeInbound(ByteBuffer(bytes: piece))
            channel.embeddedEventLoop.run()
            for _ in 0..<letsGo {
                guard desk.letOneGo(&choices) else { break }
                channel.embeddedEventLoop.run()
            }
        }
        channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        channel.embeddedEventLoop.run()
        while desk.letOneGo(&choices) { channel.embeddedEventLoop.run() }
        var answered: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) {
            answered.append(contentsOf: buffer.readableBytesView)
        }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        return answered
    }
}

/// What is asked of a stream of HTTP answers.
private enum HTTPAnswers {
    /// Without what says that the connection ends (an answer that comes after the peer's last byte may say it), and without names
    /// that the server makes up.
    static func comparable(_ stream: [UInt8]) -> String {
        Texts.text(stream).replacingOccurrences(of: "connection: close\r\n", with: "")
            .replacing(/"request_id":"r[0-9a-f]{32}"/, with: "")
    }

    static func check(_ stream: [UInt8]) throws {
        let text = Texts.text(stream)
        let marker = "HTTP/1.1 "
        // No body of ours holds the marker.
        for part in text.components(separatedBy: marker).dropFirst() {
            guard let status = Int(part.prefix(3)) else { throw Finding(description: "an answer without a status") }
            try hold((100..<600).contains(status), "the status \(status)")
            try hold(status != 500, "an internal error for what a client sent")
            guard let end = part.range(of: "\r\n\r\n") else {
                throw Finding(description: "an answer whose header does not end")
            }
            let header = part[..<end.lowerBound].lowercased()
            let body = String(part[end.upperBound...])
            try hold(!header.contains("transfer-encoding"), "an answer in chunks")
            let length = header.components(separatedBy: "content-length: ").dropFirst().first
                .flatMap { Int($0.prefix { $0.isNumber }) }
            guard !body.isEmpty else { continue }
            // The body of an answer to HEAD is left out, its length is not.
            try hold(length == body.utf8.count, "a body of another length than the header says")
            if header.contains("application/json") { try Texts.json(body, "an answer's body") }
        }
        try hold(stream.isEmpty || text.hasPrefix(marker), "something before the first answer")
    }
}
