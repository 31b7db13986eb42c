import ArgumentParser
import Assembly
import Coordinator

/// Decides what waits for an operator.
struct ResolveCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resolve", abstract: "Decide a transaction that waits for an operator.",
        discussion: """
            Only what is parked is resolved, and nothing that contradicts a logged decision unless --force-heuristic says so. The \
            order is a record of the log. Where RESOLVE_TWO_PERSON=1 the first order is a proposal, and the same order of a second \
            person carries it out. Exit codes: 0 done, 1 refused, 3 proposed, parked again or not delivered yet, 5 a server uses \
            the log (give --online).
            """)

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The txn_id (visa_ and 32 hexadecimal digits).", transform: TransactionArgument.parse)
    var transaction: TransactionID

    @Flag(exclusivity: .exclusive)
    var outcome: OutcomeFlag

    @Flag(help: "Contradict the logged decision, and take what participants did otherwise as it is.")
    var forceHeuristic = false

    func run() async throws {
        let order = OperatorOrder.resolve(
            transaction, outcome.outcome, isForced: forceHeuristic, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}
