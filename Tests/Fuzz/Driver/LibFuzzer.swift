import Foundation

// libFuzzer's interface (FuzzedDataProvider's documentation calls it the "fuzz target"): one binary for all targets, chosen by the
// variable HOLDFAST_FUZZ_TARGET.

/// The variable that names the target.
private let targetVariable = "HOLDFAST_FUZZ_TARGET"

private let target: FuzzTarget = {
    let name = ProcessInfo.processInfo.environment[targetVariable] ?? ""
    guard let target = FuzzTarget.all.first(where: { $0.name == name }) else {
        let names = FuzzTarget.all.map(\.name).joined(separator: ", ")
        preconditionFailure("\(targetVariable) is “\(name)”; it must be one of \(names)")
    }
    return target
}()

/// Runs one input; -1 keeps one that is too long out of the corpus. A finding ends the process as a crash does, so that libFuzzer keeps the input.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard count <= target.bytesMax else { return -1 }
    // A copy of exactly that size: the address sanitizer sees what reads beyond its end.
    let input = Array(UnsafeBufferPointer(start: bytes, count: count))
    do {
        try target.run(input)
    } catch {
        FileHandle.standardError.write(Data("FINDING in \(target.name): \(error)\n".utf8))
        preconditionFailure("a fuzz target's property does not hold: \(error)")
    }
    return 0
}
