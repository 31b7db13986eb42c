import Glibc

/// Which rule of the protocol this process breaks. In the copies that `scripts/mutants` builds, never in the product.
enum Mutant {
    private static let name: String = getenv("HOLDFAST_MUTANT").map { String(cString: $0) } ?? ""

    static func isActive(_ mutant: String) -> Bool { !name.isEmpty && name == mutant }
}
