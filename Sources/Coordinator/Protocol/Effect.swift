/// What a ``TransactionMachine`` wants done. The shell carries effects out in their order and brings the results back as events.
public enum Effect: Sendable, Hashable {
    /// Append to the log; the receipt comes back as ``TransactionMachine/logged(_:_:)``.
    case append(LogWrite, LogUrgency)
    /// Comes back as ``TransactionMachine/voted(_:_:)``.
    case prepare(PrepareOrder)
    /// Ask the payment's database; comes back as ``TransactionMachine/lookedUp(_:now:)``.
    case lookUp(LookUpOrder)
    /// Comes back as ``TransactionMachine/resolved(_:_:)``.
    case resolve(ResolveOrder, isRepeat: Bool)
    /// The abort's task is durable: send it now and until it is acknowledged.
    case enqueueReversal(ReversalTask)
    /// Comes back as ``TransactionMachine/retryDue(_:)``.
    case scheduleRetry(RetrySubject, after: Milliseconds)
    /// The outcome is known; given at most once.
    case answer(Answer)
    /// The request_id may begin anew: this transaction no longer stands for it.
    case releaseClaim
    /// Nothing is left to do: the machine may be dropped.
    case finished
}

/// What is to be tried again.
public enum RetrySubject: Sendable, Hashable {
    case participant(Participant)
    /// A decision, an end or a parking that the log had no room for.
    case log(LogWrite, LogUrgency)
}
