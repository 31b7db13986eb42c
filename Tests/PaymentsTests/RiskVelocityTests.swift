import Testing

@testable import Payments

@Suite("Card velocity")
struct RiskVelocityTests {
    private func card(_ number: Int, keyID: UInt32 = 1) -> KeyedDigest {
        KeyedDigest(keyID: keyID, bytes: (0..<32).map { UInt8(truncatingIfNeeded: number >> ($0 % 4 * 8)) })
    }

    private func admits(_ risk: inout RiskVelocity, _ card: KeyedDigest, at milliseconds: Int64) -> Bool {
        risk.admit(token: card, nowMilliseconds: milliseconds)
    }

    @Test("The window slides: an admission counts until its age is the window's length")
    func slides() {
        var risk = RiskVelocity(limit: 3, windowMilliseconds: 1000)
        let steps: [(Int64, Bool)] = [
            (0, true), (400, true), (999, true), (999, false), (1000, true), (1001, false), (1399, false), (1400, true),
            (1998, false), (1999, true), (1999, false), (2000, true), (5000, true), (5000, true), (5000, true),
            (5000, false),
        ]
        for (time, isAdmitted) in steps {
            #expect(admits(&risk, card(1), at: time) == isAdmitted, "at \(time)")
        }
    }

    @Test("No burst across a border: at most the limit in any window, not only in aligned ones")
    func noBurst() {
        var risk = RiskVelocity(limit: 20, windowMilliseconds: 60_000)
        var admissions: [Int64] = []
        var generator = SeededGenerator(seed: SeededGenerator.seed)
        var time: Int64 = 0
        for _ in 0..<5000 {
            time += Int64.random(in: 0...3000, using: &generator)
            if admits(&risk, card(1), at: time) { admissions.append(time) }
        }
        #expect(admissions.count > 1000)
        for index in admissions.indices.dropFirst(20) {
            #expect(admissions[index] - admissions[index - 20] >= 60_000, replay("RiskVelocityTests"))
        }
    }

    @Test("Refused attempts do not count: a card that keeps trying is admitted as soon as the window allows")
    func refusalsAreFree() {
        var risk = RiskVelocity(limit: 1, windowMilliseconds: 100)
        #expect(admits(&risk, card(1), at: 0))
        for time in Int64(1)..<100 { #expect(!admits(&risk, card(1), at: time)) }
        #expect(admits(&risk, card(1), at: 100))
        #expect(risk.trackedAdmissions == 1)
    }

    @Test("Cards do not disturb each other, and tokens of different keys are different cards")
    func cardsAreApart() {
        var risk = RiskVelocity(limit: 1, windowMilliseconds: 1000)
        for number in 0..<500 { #expect(admits(&risk, card(number), at: 0)) }
        for number in 0..<500 { #expect(!admits(&risk, card(number), at: 1)) }
        #expect(risk.trackedCards == 500)
        #expect(admits(&risk, card(0, keyID: 2), at: 2))
    }

    @Test("A limit of nothing admits nothing and remembers nothing")
    func zero() {
        var risk = RiskVelocity(limit: 0, windowMilliseconds: 1000)
        for time in Int64(0)..<5000 { #expect(!admits(&risk, card(1), at: time)) }
        #expect(risk.trackedAdmissions == 0)
        #expect(risk.trackedCards == 0)
    }

    @Test("A reading that goes back counts as the latest one: it opens no window and traps nowhere")
    func timeGoesBack() {
        var risk = RiskVelocity(limit: 1, windowMilliseconds: 1000)
        #expect(admits(&risk, card(1), at: 10_000))
        #expect(!admits(&risk, card(1), at: 0))
        #expect(!admits(&risk, card(1), at: .min))
        #expect(!admits(&risk, card(1), at: 10_999))
        #expect(admits(&risk, card(1), at: 11_000))
        var extreme = RiskVelocity(limit: 1, windowMilliseconds: 1000)
        #expect(admits(&extreme, card(1), at: .min))
        #expect(admits(&extreme, card(1), at: .max))
        #expect(!admits(&extreme, card(1), at: .max))
    }

    @Test("When memory is used up the oldest admission is forgotten first, and no card is refused wrongly")
    func oldestIsForgottenFirst() {
        var risk = RiskVelocity(limit: 1, windowMilliseconds: 1_000_000, trackedMax: 8)
        for number in 0..<8 { #expect(admits(&risk, card(number), at: Int64(number))) }
        #expect(!admits(&risk, card(0), at: 8))
        #expect(admits(&risk, card(8), at: 9))
        #expect(risk.trackedAdmissions == 8)
        for number in 1...8 { #expect(!admits(&risk, card(number), at: 10)) }
        #expect(admits(&risk, card(0), at: 11))
        #expect(!admits(&risk, card(2), at: 12))
        #expect(admits(&risk, card(1), at: 13))
    }

    @Test("Memory stays bounded under endless new cards and is given back when they are idle")
    func memory() {
        var risk = RiskVelocity(limit: 5, windowMilliseconds: 1000, trackedMax: 256)
        for number in 0..<20_000 {
            #expect(admits(&risk, card(number), at: 0))
            #expect(risk.trackedAdmissions <= 256 && risk.trackedCards <= 256)
        }
        for call in 0..<100 { _ = admits(&risk, card(0), at: Int64(10_000 + 1000 * call)) }
        #expect(risk.trackedAdmissions <= 2)
        #expect(risk.trackedCards <= 2)
    }

    @Test(
        "It admits exactly what a list of all admissions would, for random cards, times, limits and sizes",
        arguments: [
            (1, 1, 4096), (3, 50, 4096), (20, 500, 4096), (2, 100, 16), (5, 1000, 32), (1, 10_000, 1), (4, 7, 2),
        ])
    func model(limit: Int, window: Int64, trackedMax: Int) {
        var generator = SeededGenerator(seed: SeededGenerator.seed)
        var risk = RiskVelocity(limit: limit, windowMilliseconds: window, trackedMax: trackedMax)
        var model: [(card: Int, time: Int64)] = []
        var time: Int64 = 0
        for step in 0..<10_000 {
            time +=
                Int64.random(in: 0..<20, using: &generator) == 0 ? window : Int64.random(in: 0...3, using: &generator)
            let number = Int.random(in: 0..<8, using: &generator)
            model.removeAll { time - $0.time >= window }
            let isAdmitted = model.count { $0.card == number } < limit
            if isAdmitted {
                if model.count == trackedMax { model.removeFirst() }
                model.append((number, time))
            }
            #expect(
                admits(&risk, card(number), at: time) == isAdmitted,
                "step \(step); \(replay("RiskVelocityTests").rawValue)")
        }
    }
}
