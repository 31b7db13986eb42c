import Glibc
import Synchronization
import Testing

@testable import Runtime

/// The named places where a test can make the process fail.
@Suite struct FaultInjectorTests {
    /// Goal: every point and every action can be asked for, but an error where nothing can fail, which is refused in words.
    @Test(arguments: FaultInjector.points.map(\.name))
    func everyPointIsRead(name: String) throws {
        let actions: [FaultAction] = [
            .kill, .stop, .exit, .error, .delay(milliseconds: 0), .delay(milliseconds: 3_600_000),
        ]
        let point = try #require(FaultInjector.points.first { $0.name == name })
        #expect(!point.meaning.isEmpty && point.failure != "")
        for action in actions {
            let text = "\(name):12:\(action.text)"
            guard action != .error || point.failure != nil else {
                let refusal = #expect(throws: FaultPlanError.self) { try FaultInjector.parse(text) }
                #expect(refusal?.description.contains("nothing is under way that could fail") == true)
                continue
            }
            #expect(try FaultInjector.parse(text) == [FaultInjector.Plan(point: name, hit: 12, action: action)])
        }
    }

    /// Goal: a name means one point, in whichever room it is.
    @Test func namesAreUnique() {
        let names = FaultInjector.points.map(\.name)
        #expect(Set(names).count == names.count && names.count > 60)
        #expect(names.allSatisfy { name in name.allSatisfy { $0.isLowercase || $0 == "-" } })
    }

    /// Goal: several plans are read, each as it would be alone.
    @Test func severalPlansAreRead() throws {
        let plans = try FaultInjector.parse("prepared:1:delay=5,hold-send:2:error,prepared:3:kill")
        #expect(plans.map(\.description) == ["prepared:1:delay=5", "hold-send:2:error", "prepared:3:kill"])
    }

    /// Goal: what is not exactly right is refused, not guessed.
    @Test(arguments: [
        "", ":", "::", "prepared", "prepared:1", "prepared::kill", "prepared:0:kill", "prepared:-1:kill",
        "prepared:one:kill", "prepared:1:", "prepared:1:KILL", "prepared:1:kill:", "prepared:1:kill:2",
        "Prepared:1:kill", "unheard-of:1:kill", " prepared:1:kill", "prepared:1:kill ", "prepared:1:delay",
        "prepared:1:delay=", "prepared:1:delay=-1", "prepared:1:delay=1.5", "prepared:1:delay=3600001",
        "prepared:1:delay=99999999999", "prepared:99999999999999999999:kill", "prepared:1:kill,",
        ",prepared:1:kill", "prepared:1:kill;prepared:2:kill", "prepared:1:kill, prepared:2:kill",
    ])
    func whateverElseIsRefused(text: String) {
        let refusal = #expect(throws: FaultPlanError.self) { try FaultInjector.parse(text) }
        #expect(refusal?.description.contains("--list-faults") == true)
    }

    /// Goal: the action happens at the nth hit of its point, once, and at no other.
    @Test func theNthHitCounts() throws {
        let injector = try FaultInjector(FaultInjector.parse("prepared:2:delay=300"))
        #expect(Self.milliseconds { injector.hit(.beginDurable) } < 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } < 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } >= 300)
        #expect(Self.milliseconds { injector.hit(.prepared) } < 300)
        #expect(Self.milliseconds { FaultInjector.off.hit(.prepared) } < 300)
    }

    /// Goal: an error is for the operation that is at the point at that hit, and for no other; it is told.
    @Test func anErrorIsOneOperations() throws {
        let told = Mutex<[String]>([])
        let plans = try FaultInjector.parse("hold-send:2:error,prepare-reply:1:error")
        let injector = FaultInjector(plans) { text in told.withLock { $0.append(text) } }
        let holds = (1...3).map { _ in injector.fails(ParticipantPoint.holdSend) }
        #expect(holds == [false, true, false])
        let replies = (1...2).map { _ in injector.fails(ParticipantPoint.prepareReply) }
        #expect(replies == [true, false])
        #expect(!injector.fails(ParticipantPoint.holdReply) && !FaultInjector.off.fails(ParticipantPoint.holdSend))
        #expect(told.withLock { $0 } == ["hold-send:2:error", "prepare-reply:1:error"])
    }

    /// Goal: `kill` and `exit` end the process as they say.
    @Test func killAndExitEndTheProcess() async {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            FaultInjector(try FaultInjector.parse("begin-durable:1:kill")).hit(.holdPlaced)
            FaultInjector(try FaultInjector.parse("hold-placed:1:kill")).hit(.holdPlaced)
        }
        await #expect(processExitsWith: .exitCode(70)) {
            FaultInjector(try FaultInjector.parse("decision-durable:1:exit")).hit(.decisionDurable)
        }
    }

    private static func milliseconds(_ body: () -> Void) -> Int64 {
        let start = SystemClock.monotonic()
        body()
        return SystemClock.monotonic().since(start).count
    }
}
