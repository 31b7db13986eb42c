/// A moment in the log's own work at which a test may stop the process or have the work fail. Nothing looks at them otherwise.
public enum LogMoment: Sendable, Hashable, CaseIterable {
    /// The owner's file is open; the next epoch is not in it.
    case opened
    /// The writer has steps and has written none of them. Failing: there is no room for all of them at once.
    case batchTaken
    /// The writer's steps are synced, and nobody was told.
    case batchDurable
    /// A slice of a trim is about to be made. Failing: there is no room for it.
    case trimStep
    case trimStepDurable
    /// A backup is written under a temporary name. Failing: it cannot be synced.
    case backupCopied
    /// A backup is synced. Failing: it cannot be marked as a copy.
    case backupSynced
    /// A backup is marked and was read. Failing: it cannot be given its name.
    case backupMarked
    /// A backup has its name. Failing: the directory cannot be synced.
    case backupNamed
    case backupDone
}

/// Told of each moment; gives whether what follows is to fail.
public typealias LogProbe = @Sendable (LogMoment) -> Bool
