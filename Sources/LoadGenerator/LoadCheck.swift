import NIOCore
import NIOPosix

/// Asks the server, after the load, what it knows of every request, and compares.
struct LoadCheck: Sendable {
    /// What did not fit.
    struct Report: Sendable {
        var asked = 0
        var approved = 0
        var declined = 0
        var notFound = 0
        /// PENDING or HEURISTIC now.
        var unsettled = 0
        var complaints: [String] = []
        var complaintCount = 0

        mutating func complain(_ text: String) {
            complaintCount += 1
            if complaints.count < LoadLimits.complaintsShownMax { complaints.append(text) }
        }
    }

    let plan: LoadPlan

    /// - Throws: what keeps the server from being asked.
    func run(_ outcomes: [LoadLoop.Outcome], group: any EventLoopGroup) async throws -> Report {
        let asked = outcomes.filter { $0.fate != .none }
        let channel = try await ClientBootstrap(group: group)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.nanoseconds(LoadLimits.connectMax))
            .connect(host: plan.host, port: plan.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
                }
            }
        return try await channel.executeThenClose { inbound, outbound in
            var report = Report()
            var answers = LineReader(inbound.makeAsyncIterator())
            for start in stride(from: 0, to: asked.count, by: LoadLimits.checkDepth) {
                let batch = asked[start..<min(start + LoadLimits.checkDepth, asked.count)]
                let text = batch.map { "GET /tx?request_id=\(plan.script.requestID($0.number))\r\n" }.joined()
                try await outbound.write(ByteBuffer(string: text))
                for outcome in batch {
                    guard let line = try await answers.next() else { throw CheckFailure.connectionEnded }
                    judge(outcome, line, &report)
                }
            }
            return report
        }
    }

    private func judge(_ outcome: LoadLoop.Outcome, _ line: String, _ report: inout Report) {
        report.asked += 1
        let bytes = Array(line.utf8)
        let (status, amount) = bytes.withUnsafeBytes {
            ($0.value(after: #""status":""#), $0.value(after: #""amount":""#))
        }
        let name = plan.script.requestID(outcome.number)
        guard let status else { return report.complain("\(name): \(line.prefix(200))") }
        switch status {
        case "APPROVED": report.approved += 1
        case "DECLINED": report.declined += 1
        case "NOT_FOUND": report.notFound += 1
        default: report.unsettled += 1
        }
        guard Self.allows(outcome.fate, status) else {
            return report.complain("\(name): answered \(outcome.fate), and now \(status)")
        }
        guard let amount else { return }
        let expected = plan.script.amount(outcome.reference ?? outcome.number)
        if amount != expected { report.complain("\(name): of \(expected), and now of \(amount)") }
    }

    /// Whether the server may say so of a request that was answered like this.
    static func allows(_ fate: Fate, _ status: String) -> Bool {
        switch fate {
        case .approved: status == "APPROVED" || status == "HEURISTIC"
        case .declined: status == "DECLINED" || status == "HEURISTIC"
        // A refusal claims nothing; a repeat of it may have been taken.
        case .none, .refused, .lost, .pending, .other: true
        }
    }

    enum CheckFailure: Error, CustomStringConvertible {
        case connectionEnded
        var description: String { "the server ended the connection during the check" }
    }
}

/// Lines out of the parts that a connection delivers.
private struct LineReader<Source: AsyncIteratorProtocol> where Source.Element == ByteBuffer {
    private var source: Source
    private var buffer = ByteBuffer()

    init(_ source: Source) { self.source = source }

    mutating func next() async throws -> String? {
        while true {
            if let end = buffer.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) {
                let line = buffer.readString(length: end - buffer.readerIndex) ?? ""
                buffer.moveReaderIndex(forwardBy: 1)
                return line
            }
            guard var part = try await source.next() else { return nil }
            buffer.discardReadBytes()
            buffer.writeBuffer(&part)
        }
    }
}
