import ArgumentParser
import Assembly

/// Takes a value out of the log's quarantine.
struct QuarantineReleaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "release", abstract: "Put a value of the quarantine back in its place, or drop it.",
        discussion: """
            A value is put back only if this program can read it now and nothing else has taken its place; the next start takes it \
            up. With --discard it is dropped for good. The order is a record of the log.
            """)

    @OptionGroup var location: Location
    @OptionGroup var options: OrderOptions

    @Argument(help: "The value's number in the quarantine.")
    var number: UInt64

    @Flag(help: "Drop it instead of putting it back.")
    var discard = false

    func run() async throws {
        let order = OperatorOrder.releaseQuarantined(number, isDiscarded: discard, by: try options.signature)
        try await OrderRun(order: order, options: options, location: location).run()
    }
}
