import Foundation
import Testing

@testable import Harness

extension Integration {
    /// The tools of these tests must see what is wrong: each is shown something that is.
    @Suite struct HarnessTests {
        private static func consistent() -> Evidence {
            let made = Payment(requestID: "r-1", pan: "4000000000000002", amount: "12.30", merchant: "M")
            let refused = Payment(requestID: "r-2", pan: "4000000000000002", amount: "5.00")
            return Evidence(
                databases: 1,
                rows: [
                    PaymentRow(
                        database: 1, requestID: "r-1", transactionID: "visa_1", kind: "AUTH",
                        maskedPAN: "400000******0002",
                        amount: "12.30", currency: "USD", merchant: "M", status: "APPROVED")
                ],
                entries: [MerchantRow(database: 1, transactionID: "visa_1", merchant: "M", amount: "12.3")],
                prepared: [],
                book: [
                    BookEntry(transactionID: "visa_1", state: .settled, amount: "12.30", commits: 1),
                    BookEntry(transactionID: "visa_2", state: .released, amount: "5.00", aborts: 1),
                ],
                exchanges: [
                    Exchange(payment: made, outcomes: [.lost, .answer(Answer(.approved, transactionID: "visa_1"))]),
                    Exchange(
                        payment: refused,
                        outcomes: [.answer(Answer(.declined, reason: "commit_failed", transactionID: "visa_2"))]),
                ])
        }

        @Test("Goal: what agrees is not called a violation")
        func consistentEvidencePasses() {
            #expect(Checker.violations(in: Self.consistent()) == [])
        }

        /// One contradiction, and a word of the violation that must name it.
        struct Contradiction: Sendable, CustomTestStringConvertible {
            let testDescription: String
            let word: String
            let damage: @Sendable (inout Evidence) -> Void
            init(_ description: String, _ word: String, _ damage: @escaping @Sendable (inout Evidence) -> Void) {
                testDescription = description
                self.word = word
                self.damage = damage
            }
        }

        private static func answer(_ answer: Answer, in evidence: inout Evidence, at position: Int = 0) {
            evidence.exchanges[position].outcomes.append(.answer(answer))
        }

        static let contradictions: [Contradiction] = [
            Contradiction("approved without a row", "has no row") {
                $0.rows = []; $0.entries = []; $0.book = []
            },
            Contradiction("committed, still held", "still holds") {
                $0.book[0] = BookEntry(transactionID: "visa_1", state: .held, amount: "12.30")
            },
            Contradiction("committed, released", "the network says released") {
                $0.book[0] = BookEntry(transactionID: "visa_1", state: .released, amount: "12.30")
            },
            Contradiction("settled without a row", "no database has it") {
                $0.book[1] = BookEntry(transactionID: "visa_2", state: .settled, amount: "5.00")
            },
            Contradiction("a row that the network never saw", "never heard") { $0.book.removeFirst() },
            Contradiction("no merchant entry", "has no merchant entry") { $0.entries = [] },
            Contradiction("an entry of another amount", "its entry") { $0.entries[0].amount = "12.31" },
            Contradiction("an entry without a payment", "has no payment") {
                $0.entries.append(MerchantRow(database: 1, transactionID: "visa_9", merchant: "M", amount: "1"))
            },
            Contradiction("a prepared transaction left", "is left") { $0.prepared = ["visa_x"] },
            Contradiction("paid twice", "2 rows of request") {
                $0.rows.append($0.rows[0])
                $0.rows[1].transactionID = "visa_2"
            },
            Contradiction("entered twice", "2 merchant entries") { $0.entries.append($0.entries[0]) },
            Contradiction("another amount than asked for", "asked for") {
                $0.exchanges[0] = Exchange(
                    payment: Payment(requestID: "r-1", pan: "4000000000000002", amount: "12.31"), outcomes: [.lost])
            },
            Contradiction("another amount at the network", "at the network") {
                $0.book[0] = BookEntry(transactionID: "visa_1", state: .settled, amount: "12.31", commits: 1)
            },
            Contradiction("approved as two transactions", "several transactions") {
                answer(Answer(.approved, transactionID: "visa_7"), in: &$0)
            },
            Contradiction("declined for ever and made", "declined for ever") {
                answer(Answer(.declined, reason: "commit_failed", transactionID: "visa_7"), in: &$0)
            },
            Contradiction("refused without a trace and made", "was refused and row") {
                $0.exchanges[0].outcomes = [.answer(Answer(.declined, reason: "server_busy"))]
            },
            Contradiction("still pending", "still PENDING") {
                answer(Answer(.pending, transactionID: "visa_1"), in: &$0)
            },
            Contradiction("no answer in time", "nothing came") {
                $0.exchanges[0].outcomes.append(.broken("nothing came"))
            },
            Contradiction("a row nobody asked for", "nobody asked") { $0.exchanges.removeFirst() },
            Contradiction("a row that is not approved", "with status") { $0.rows[0].status = "PENDING" },
            Contradiction("two databases, one of them empty", "has none of") { evidence in
                evidence.databases = 2
                evidence.isComplete = false
                evidence.rows = (0..<Checker.rowsToSpread).map { number in
                    var row = evidence.rows[0]
                    row.requestID = "r-1\(number)"
                    row.transactionID = "visa_1\(number)"
                    return row
                }
            },
        ]

        @Test("Goal: the checker names each contradiction", arguments: contradictions)
        func checkerSees(_ contradiction: Contradiction) {
            var evidence = Self.consistent()
            contradiction.damage(&evidence)
            let violations = Checker.violations(in: evidence)
            #expect(violations.contains { $0.contains(contradiction.word) }, "\(violations)")
        }

        @Test("Goal: what may be unknown is not called a violation")
        func unknownIsAllowed() {
            var lost = Self.consistent()
            lost.exchanges[0].outcomes = [.lost]
            #expect(Checker.violations(in: lost) == [])
            lost.rows = []
            lost.entries = []
            lost.book.removeFirst()
            #expect(Checker.violations(in: lost) == [])
        }

        @Test("Goal: a card number is found in a binary file below a directory, and only there")
        func cardScanSees() throws {
            let directory = try RunDirectory.shared().make("card-scan")
            let cards = Set((0..<1000).map { _ in TestCards.next() })
            try FileManager.default.createDirectory(atPath: directory + "/below", withIntermediateDirectories: false)
            let masked = cards.map { Payment(requestID: nil, pan: $0).maskedPAN }.joined(separator: "\n")
            try masked.write(toFile: directory + "/clean", atomically: false, encoding: .utf8)
            #expect(try CardScan.filesHolding(cards, in: [directory]) == [])

            let leaked = try #require(cards.randomElement())
            let bytes = Data([0, 0xFF, 0xFE]) + Data(leaked.utf8) + Data([0])
            try bytes.write(to: URL(fileURLWithPath: directory + "/below/leak"))
            #expect(try CardScan.filesHolding(cards, in: [directory]) == [directory + "/below/leak"])
        }

        @Test("Goal: the cards of the tests are what they claim to be")
        func cards() {
            let numbers = (0..<2000).map { _ in TestCards.next() }
            #expect(Set(numbers).count == numbers.count)
            #expect(numbers.allSatisfy { $0.count == 16 && Self.isValid($0) })
            #expect(!Self.isValid(TestCards.invalid()))
            for digits in [11, 12, 19, 20] {
                let number = TestCards.make(digits: digits)
                #expect(number.count == digits && Self.isValid(number))
            }
        }

        /// Written the other way round than the generator: from the right, check digit included.
        private static func isValid(_ number: String) -> Bool {
            let digits = number.reversed().compactMap(\.wholeNumberValue)
            let sum = digits.enumerated().reduce(0) { sum, digit in
                sum + (digit.offset % 2 == 0 ? digit.element : digit.element / 5 + digit.element * 2 % 10)
            }
            return digits.count == number.count && sum % 10 == 0
        }

        @Test("Goal: processes end as the harness says, and a wait in vain says what for")
        func processes() throws {
            let ended = try Tool.run("/bin/sh", ["-c", "echo out; echo err >&2; exit 7"])
            #expect(ended.status == .code(7))
            #expect(ended.output == "out\n" && ended.errors == "err\n")

            let sleeper = try ChildProcess(
                name: "sleeper", executable: "/bin/sleep", arguments: ["600"], environment: [:])
            #expect(throws: HarnessError.self) { try sleeper.wait(within: .milliseconds(50)) }
            sleeper.kill()
            #expect(sleeper.status() == .signal(SIGKILL))
        }

        @Test("Goal: the proxy passes on, breaks what stood, and comes back on its port")
        func proxy() throws {
            let cluster = try PrivateCluster.forRun()
            let proxy = try TCPProxy(upstream: cluster.port)
            // The request that asks PostgreSQL for TLS; it answers with one byte.
            let request: [UInt8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F]
            let connection = try TCPConnection(port: proxy.port)
            try connection.send(request)
            #expect(try connection.read(1) == [UInt8(ascii: "N")])

            try proxy.set(.cut)
            #expect(try connection.isClosedByPeer(within: .seconds(5)))
            #expect(Wait.holds(within: .seconds(5)) { (try? TCPConnection(port: proxy.port)) == nil })

            try proxy.set(.silent)
            try Wait.until("the proxy listens again", within: .seconds(5)) {
                (try? TCPConnection(port: proxy.port)) != nil
            }
            let waiting = try TCPConnection(port: proxy.port)
            try waiting.send(request)
            #expect(throws: ConnectionError.self) { try waiting.read(1, within: .milliseconds(200)) }
            try proxy.set(.forwarding)
            #expect(try waiting.read(1) == [UInt8(ascii: "N")])
            try proxy.close()
        }
    }
}
