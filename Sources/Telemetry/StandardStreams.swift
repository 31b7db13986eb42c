import Glibc

/// The first three descriptors.
public enum StandardStreams {
    /// Takes those of the first three descriptors that are closed, so that no file of ours gets their numbers.
    ///
    /// Started with a closed standard error (`2>&-`), a process is given 2 for the next file that it opens, and every log line goes
    /// there. What is taken here fails as a closed descriptor would. To be called before anything is opened.
    public static func reserve() {
        while true {
            // The lowest free number. The input may not be read, the outputs not be written.
            let descriptor = open("/dev/null", fcntl(STDIN_FILENO, F_GETFD) < 0 ? O_WRONLY : O_RDONLY)
            guard descriptor >= 0, descriptor <= STDERR_FILENO else {
                if descriptor > STDERR_FILENO { close(descriptor) }
                return
            }
        }
    }
}
