import Glibc
import Testing

@testable import Runtime

/// The named places where a test can stop the process.
@Suite struct FaultInjectorTests {
    /// Goal: every point and every action can be asked for.
    @Test(arguments: FaultPoint.allCases.map(\.rawValue) + RecoveryPoint.allCases.map(\.rawValue))
    func everyPointIsRead(point: String) {
        let actions: [(String, FaultAction)] = [
            ("kill", .kill), ("stop", .stop), ("exit", .exit), ("delay=0", .delay(milliseconds: 0)),
            ("delay=3600000", .delay(milliseconds: 3_600_000)),
        ]
        for (text, action) in actions {
            let plan = FaultInjector.Plan(point: point, hit: 12, action: action)
            #expect(FaultInjector.parse("\(point):12:\(text)") == plan)
        }
        #expect(FaultInjector.points.contains { $0.name == point && !$0.meaning.isEmpty })
    }

    /// Goal: what is not exactly right is refused, not guessed.
    @Test(arguments: [
        "", ":", "::", "prepared", "prepared:1", "prepared::kill", "prepared:0:kill", "prepared:-1:kill",
        "prepared:one:kill", "prepared:1:", "prepared:1:KILL", "prepared:1:kill:", "prepared:1:kill:2",
        "Prepared:1:kill", "unheard-of:1:kill", " prepared:1:kill", "prepared:1:kill ", "prepared:1:delay",
        "prepared:1:delay=", "prepared:1:delay=-1", "prepared:1:delay=1.5", "prepared:1:delay=3600001",
        "prepared:1:delay=99999999999", "prepared:99999999999999999999:kill",
    ])
    func whateverElseIsRefused(text: String) {
        #expect(FaultInjector.parse(text) == nil)
    }

    /// Goal: the action happens at the nth hit of its point, once, and at no other.
    @Test func theNthHitCounts() throws {
        let injector = FaultInjector(plan: FaultInjector.parse("prepared:2:delay=300"))
        #expect(Self.milliseconds { injector.hit(.beginDurable) } < 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } < 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } >= 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } < 300)
        #expect(Self.milliseconds { FaultInjector.off.hit(.prepared) } < 300)
    }

    /// Goal: `kill` and `exit` end the process as they say.
    @Test func killAndExitEndTheProcess() async {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            FaultInjector(plan: FaultInjector.parse("holdplaced:1:kill")).hit(.holdPlaced)
            FaultInjector(plan: FaultInjector.parse("hold-placed:1:kill")).hit(.holdPlaced)
        }
        await #expect(processExitsWith: .exitCode(70)) {
            FaultInjector(plan: FaultInjector.parse("decision-durable:1:exit")).hit(.decisionDurable)
        }
    }

    private static func milliseconds(_ body: () -> Void) -> Int64 {
        let start = SystemClock.monotonic()
        body()
        return SystemClock.monotonic().since(start).count
    }
}
