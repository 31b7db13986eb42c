import Foundation
import Harness

/// `crash`: see `make crash`.
@main
enum CrashMain {
    static func main() { exit(CrashProgram.run(Array(CommandLine.arguments.dropFirst()))) }
}
