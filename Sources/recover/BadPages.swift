import Assembly
import Foundation

/// The storage trusts the pages of its file. Where one of them leads outside of it the kernel raises SIGBUS, which is damage of the log and
/// no crash of this program.
enum BadPages {
    /// Ends the program with the code for damage then.
    static func endsProgram() {
        // Nothing but what a signal handler may call.
        signal(SIGBUS) { _ in
            let message: StaticString =
                """
                recover: the log is damaged: a page of its file leads outside of it, or the disk cannot read it. Keep a copy of it, \
                then restore a backup.

                """
            _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
            _exit(ProgramExit.damaged)
        }
    }
}
