import Coordinator
import Payments
import Testing

@Suite struct BeginRecordTests {
    private static func record(
        _ transaction: UInt64 = 1, epoch: UInt64 = 1, request: String = "order-1", databases: Int = 1,
        deadline: Int64 = 1
    ) -> BeginRecord {
        BeginRecord(
            transaction: Samples.transactionID(transaction), epoch: Epoch(rawValue: epoch),
            intent: Samples.intent(request: request), branches: Samples.branches(databases: databases),
            deadline: WallTime(microseconds: deadline))
    }

    @Test("Records are equal by what they hold, each part of it, and show it")
    func content() {
        let all = [
            Self.record(), Self.record(2), Self.record(epoch: 2), Self.record(request: "order-2"),
            Self.record(databases: 2), Self.record(deadline: 2),
        ]
        #expect(Set(all).count == all.count)
        let again = Self.record()
        let copy = again
        #expect(again == all[0] && again.hashValue == all[0].hashValue && copy == again)
        #expect("\(again)".contains("\(again.transaction)") && "\(again)".contains("order-1"), "\(again)")
    }
}
