import ArgumentParser
import Assembly
import Coordinator
import Payments
import Telemetry

/// Lists what the log holds unfinished, without asking anybody.
struct ListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the transactions and reversals that are not finished.")

    @OptionGroup var location: Location

    func run() async throws {
        let snapshot = try Observer.snapshot(stateDirectory: location.stateDirectory)
        var table = Table("TRANSACTION", "BEGUN", .right("AMOUNT"), "STATE", .flexible("REQUEST"), "CARD")
        for active in snapshot.active {
            let intent = active.begin.record.intent
            table.add(
                active.transaction.description,
                Timestamp.text(microseconds: active.begin.writtenAt.microseconds), intent.amount.description,
                active.listedState, intent.requestID.text, intent.maskedPAN.text)
        }
        for task in snapshot.reversals {
            table.add(
                task.transaction.description, Timestamp.text(microseconds: task.createdAt.microseconds),
                task.intent.amount.description, task.parkedReason == nil ? "REVERSAL DUE" : "REVERSAL PARKED",
                task.intent.requestID.text, task.intent.maskedPAN.text)
        }
        if snapshot.active.isEmpty && snapshot.reversals.isEmpty {
            Output.line("nothing is unfinished")
        } else {
            Output.line(table.text(for: .output))
        }
        if snapshot.quarantined > 0 { Output.line("\(snapshot.quarantined) records are in quarantine") }
    }
}
