/// Carries a closure of the simulation's one thread through a parameter that asks for a sendable one.
struct Passed<Value>: @unchecked Sendable {
    // @unchecked: a simulation runs on one thread.
    let call: (Value) -> Void
    init(_ call: @escaping (Value) -> Void) { self.call = call }
}
