/// What the writer keeps from step to step, to have less to do.
final class StepMemory {
    /// Where a value is put together before it goes to its tree.
    var writer = ByteWriter(capacity: 1024)
}
