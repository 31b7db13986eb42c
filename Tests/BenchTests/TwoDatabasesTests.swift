import Coordinator
import Payments
import Testing

@testable import bench

@Suite struct TwoDatabasesTests {
    @Test("Goal: every payment of the benchmark has a branch in each database, and both databases get rows")
    func apart() {
        var payments = PaymentSource(seed: 1, databases: 2)
        var rows: [DatabaseIndex: Int] = [:]
        var requests: Set<RequestID> = []
        var merchants: Set<MerchantID> = []
        for _ in 0..<1000 {
            let intent = payments.intent()
            requests.insert(intent.requestID)
            merchants.insert(intent.merchant)
            let branches = Placement.branches(of: intent, databases: 2).filter { $0.participant != .clearing }
            #expect(branches.count == 2)
            rows[Placement.paymentDatabase(of: intent.requestID, databases: 2), default: 0] += 1
        }
        #expect(requests.count == 1000 && merchants.count == 64)
        #expect(rows.count == 2 && rows.values.allSatisfy { $0 > 400 })
    }

    @Test("Goal: percentiles are by nearest rank, whatever the order")
    func percentiles() {
        let latencies = (1...200).map { UInt32($0) }.shuffled()
        let throughput = Throughput(transactions: 200, seconds: 4, latencies: latencies)
        #expect(throughput.perSecond == 50 && throughput.p50 == 100 && throughput.p99 == 198)
        #expect(Throughput.percentile(99, of: [7]) == 7)
        #expect(Throughput.percentile(50, of: []).isNaN)
    }

    @Test("Goal: an answer of Bitronix is read, anything else is a failure")
    func bitronix() throws {
        let throughput = try #require(BitronixPeer.read("done 3000 2.5 11000 54000"))
        #expect(throughput.perSecond == 1200 && throughput.p50 == 11_000 && throughput.p99 == 54_000)
        for line in ["failed java.lang.Exception", "done 1 0 2 3", "done 1 2 3", "done a b c d", ""] {
            #expect(BitronixPeer.read(line) == nil)
        }
    }

    @Test("Goal: words are all of one length and never the same")
    func words() {
        let words = Words()
        let drawn = (0..<500).map { _ in words.next() }
        #expect(Set(drawn).count == 500 && drawn.allSatisfy { $0.count == 5 })
    }
}
