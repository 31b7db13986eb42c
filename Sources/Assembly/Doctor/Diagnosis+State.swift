import Coordinator
import WAL

/// The state directory and the log in it.
extension Diagnosis {
    private var path: String { facts.configuration.stateDirectory }

    var state: [DoctorFinding] {
        switch facts.state {
        case .missing:
            return [
                DoctorFinding(
                    "state", "state.directory", .note, "\(path) does not exist",
                    advice: "the server makes it at its first start, if the directory above exists; if there was one "
                        + "before, point STATE_DIR at it: without its log nothing is recovered")
            ]
        case .failed(let reason):
            return [
                DoctorFinding(
                    "state", "state.directory", .problem, reason, advice: "run doctor and the server as the same user")
            ]
        case .seen(let seen):
            return [directory(seen), fileSystem(seen), space(seen), sync(seen), lock(seen)]
        }
    }

    private func directory(_ seen: StateDirectoryFacts) -> DoctorFinding {
        let found = "\(path), owner \(seen.ownerID), mode \(Self.octal(seen.mode))"
        func finding(_ level: DoctorFinding.Level, _ what: String, _ advice: String) -> DoctorFinding {
            DoctorFinding("state", "state.directory", level, found + what, advice: advice)
        }
        guard seen.isWritable else {
            return finding(
                .problem, ": user \(seen.userID) may not write there",
                "run the server and recover as the owner of the directory")
        }
        guard seen.ownerID == seen.userID else {
            return finding(
                .warning, ", looked at as user \(seen.userID)",
                "run doctor and recover as the server's user: files that another one makes may be closed to it")
        }
        // To pass through without seeing what is there is no access.
        guard seen.mode & 0o066 == 0 else {
            return finding(
                .warning, ": others have access", "chmod 700 \(path): whoever can write there can change decisions")
        }
        return DoctorFinding("state", "state.directory", .ok, found)
    }

    private func fileSystem(_ seen: StateDirectoryFacts) -> DoctorFinding {
        guard let kind = seen.fileSystemKind else {
            return DoctorFinding(
                "state", "state.file_system", .warning, "the kernel does not tell what \(path) is on",
                advice: "mount /proc; the server needs it to refuse file systems that cannot keep a log")
        }
        let found = "\(kind) on \(seen.mountPoint) (\(seen.mountOptions.joined(separator: ",")))"
        if seen.mountOptions.contains("ro") {
            return DoctorFinding(
                "state", "state.file_system", .problem, found + ": it is mounted read-only",
                advice: "look for errors of the disk in the kernel's messages, then mount it writable")
        }
        // What ext4 and others offer to skip the disk's cache flush: a power cut loses what was called durable.
        let reckless = seen.mountOptions.filter { ["nobarrier", "barrier=0"].contains($0) }
        if !reckless.isEmpty {
            return DoctorFinding(
                "state", "state.file_system", .problem,
                found + ": \(reckless.joined(separator: ", ")) gives durability away",
                advice: "mount it without \(reckless.joined(separator: ", "))")
        }
        guard seen.isUnsafeKind else { return DoctorFinding("state", "state.file_system", .ok, found) }
        let allowed = facts.configuration.allowsUnsafeFileSystem
        return DoctorFinding(
            "state", "state.file_system", allowed ? .warning : .problem,
            found + ": it cannot keep a log through a crash" + (allowed ? " (allowed by configuration)" : ""),
            advice: "put STATE_DIR on a local disk")
    }

    /// What is allocated beyond the content of the log is the reserve, or a part of it.
    private func space(_ seen: StateDirectoryFacts) -> DoctorFinding {
        guard let free = seen.freeBytes else {
            return DoctorFinding(
                "state", "state.free_space", .warning, "the file system does not say how much is free",
                advice: "watch it by other means: without space no payment is taken")
        }
        var used = 0
        if case .seen(let log) = facts.log, case .success(let usage) = log.usage { used = usage.fileBytes }
        let reserveLeft = max(0, facts.configuration.reserveBytes - max(0, (seen.allocatedBytes ?? 0) - used))
        let needed = facts.configuration.freeBytesMin + reserveLeft
        let found =
            "\(Self.mebibytes(free)) free, \(Self.mebibytes(facts.configuration.freeBytesMin)) is the mark"
            + ", \(Self.mebibytes(reserveLeft)) of the reserve of \(Self.mebibytes(facts.configuration.reserveBytes)) "
            + "is to be allocated"
        if free < needed {
            return DoctorFinding(
                "state", "state.free_space", .problem, found,
                advice:
                    "free disk space: below the mark no new payment is taken, and the reserve is what decisions are "
                    + "written to when the disk is full")
        }
        guard free >= 2 * needed else {
            return DoctorFinding(
                "state", "state.free_space", .warning, found, advice: "free disk space before the mark is reached")
        }
        return DoctorFinding("state", "state.free_space", .ok, found)
    }

    private func sync(_ seen: StateDirectoryFacts) -> DoctorFinding {
        guard let worst = seen.syncNanoseconds.last else {
            return DoctorFinding(
                "state", "state.sync", .note, "a sync could not be timed: no unnamed file can be made there",
                advice: "nothing, if the server runs well there; its commits wait for syncs of this disk")
        }
        let median = seen.syncNanoseconds[seen.syncNanoseconds.count / 2]
        let found =
            "a sync takes \(Self.milliseconds(Int64(median / 1000))) (median), "
            + "\(Self.milliseconds(Int64(worst / 1000))) at most, of \(seen.syncNanoseconds.count)"
        guard median >= DoctorLimits.syncNoted else { return DoctorFinding("state", "state.sync", .ok, found) }
        return DoctorFinding(
            "state", "state.sync", median >= DoctorLimits.syncWarned ? .warning : .note, found,
            advice: "each payment waits for several of them: use a faster disk, or one with a protected cache")
    }

    private func lock(_ seen: StateDirectoryFacts) -> DoctorFinding {
        guard seen.isInUse else {
            return DoctorFinding("state", "state.lock", .ok, "nobody holds the lock: no server runs on it")
        }
        let who = seen.holder.map { "process \($0)" } ?? "a process that did not write its number"
        return DoctorFinding("state", "state.lock", .ok, "held by \(who): a server or a recover runs on it")
    }

    // MARK: The log

    var log: [DoctorFinding] {
        switch facts.log {
        case .absent:
            return [
                DoctorFinding(
                    "log", "log.format", .note, "there is no log in \(path)",
                    advice:
                        "the server makes one at its first start; if there was one before, restore it from a backup "
                        + "first")
            ]
        case .unreadable(let reason):
            return [
                DoctorFinding(
                    "log", "log.format", .problem, reason,
                    advice: "do not start a server on it before that is done; keep a copy of the directory as it is")
            ]
        case .seen(let seen): return logContent(seen)
        }
    }

    private func logContent(_ seen: DoctorFacts.Log.Content) -> [DoctorFinding] {
        let next = seen.nextLSN
        var findings = [
            DoctorFinding("log", "log.format", .ok, "log \(seen.log) is readable, its next record is \(next)"),
            DoctorFinding(
                "log", "log.unfinished", .ok,
                "\(Self.plural(seen.unfinished, "transaction")) and \(Self.plural(seen.reversals, "reversal")) unfinished"
            ),
        ]
        if seen.quarantined > 0 {
            findings.append(
                DoctorFinding(
                    "log", "log.quarantine", .warning, "\(Self.plural(seen.quarantined, "damaged value")) set aside",
                    advice: "see what they are with `recover list`; a payment whose record is damaged needs an operator"
                ))
        } else {
            findings.append(DoctorFinding("log", "log.quarantine", .ok, "no damaged values"))
        }
        if seen.clockBehind > ClockReading.differenceMax {
            findings.append(
                DoctorFinding(
                    "log", "log.clock", .problem,
                    "the newest record is \(seen.clockBehind.count / 1000) s in the future: this machine's clock is wrong, or was when "
                        + "it was written",
                    advice:
                        "set the clock by a time server (NTP): times and ages that are told mean nothing, and certificates fail"
                ))
        }
        switch seen.usage {
        case .success(let usage): findings += [map(usage), reader(usage)]
        case .failure(let error):
            findings.append(
                DoctorFinding("log", "log.map", .problem, error.message, advice: "check the disk and the file"))
        }
        return findings
    }

    private func map(_ usage: LogUsage) -> DoctorFinding {
        var size = usage.mapBytes
        var isRunning = false
        if case .seen(let state) = facts.state { isRunning = state.isInUse }
        // The next start sets the configured size; a running server has that of its own start.
        if !isRunning { size = max(facts.configuration.logMapBytes, usage.fileBytes) }
        let share = Double(usage.usedBytes) / Double(max(1, size))
        let found =
            "\(Self.mebibytes(usage.usedBytes)) of \(Self.mebibytes(size)) in use (\(Int((share * 100).rounded())) %), "
            + "\(Int(DoctorLimits.mapShareMax * 100)) % is the mark"
        guard share >= DoctorLimits.mapShareWarned else { return DoctorFinding("log", "log.map", .ok, found) }
        return DoctorFinding(
            "log", "log.map", share >= DoctorLimits.mapShareMax ? .problem : .warning, found,
            advice: "raise LOG_MAP_MB or lower LOG_RETENTION, and restart the server: above the mark no new payment is "
                + "taken")
    }

    private func reader(_ usage: LogUsage) -> DoctorFinding {
        guard let reader = usage.slowestReader else {
            return DoctorFinding("log", "log.readers", .ok, "nobody else reads it")
        }
        let found = "process \(reader.pid) reads it, \(Self.plural(reader.commitsBehind, "commit")) behind"
        guard reader.commitsBehind > DoctorLimits.readerLagWarned else {
            return DoctorFinding("log", "log.readers", .ok, found)
        }
        return DoctorFinding(
            "log", "log.readers", .warning, found,
            advice:
                "end process \(reader.pid), or find out why it stands still: the log cannot use pages again that it "
                + "reads")
    }
}
