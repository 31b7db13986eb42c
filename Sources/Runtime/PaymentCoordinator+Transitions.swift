package import Coordinator

/// A step of a transaction's machine, for those who count what was tried.
package struct MachineStep: Sendable {
    package let before: String
    package let event: String
    package let after: String
}

extension PaymentCoordinator {
    /// Gives an event to a transaction's machine and carries out what it wants done.
    func give(_ event: TransactionEvent, to flight: Flight) { apply(step(event, flight), to: flight) }

    /// Gives an event to a transaction's machine.
    ///
    /// - Returns: what it wants done.
    func step(_ event: TransactionEvent, _ flight: Flight) -> [Effect] {
        guard let watchSteps else { return flight.machine.take(event) }
        let before = flight.machine.stateName
        let effects = flight.machine.take(event)
        watchSteps(MachineStep(before: before, event: event.label, after: flight.machine.stateName))
        return effects
    }

    /// For those who count what was tried.
    package var breakerState: CircuitBreaker.State { breaker.state }
}
