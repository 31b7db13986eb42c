import Coordinator
import Payments
import Runtime
import WAL

/// A log at which a test makes the process fail, before or after its steps.
final class FaultyLog: TransactionLog {
    private let inner: any TransactionLog
    private let faults: FaultInjector
    /// As the inner log delivers.
    private let deliver: @Sendable (@escaping @Sendable () -> Void) -> Void

    init(
        _ inner: any TransactionLog, _ faults: FaultInjector,
        deliver: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) {
        self.inner = inner
        self.faults = faults
        self.deliver = deliver
    }

    func append(
        _ write: LogWrite, urgency: LogUrgency,
        completion: @escaping @Sendable (Result<LogReceipt, LogRefusal>) -> Void
    ) {
        let around = LogPoint.around(write)
        if faults.fails(around.before) { return deliver { completion(.failure(.full)) } }
        inner.append(write, urgency: urgency) { [faults] result in
            if let after = around.after, case .success = result { _ = faults.fails(after) }
            completion(result)
        }
    }

    func lookUp(_ request: RequestID) throws -> RequestEntry? { try inner.lookUp(request) }

    func snapshot() throws -> LogSnapshot { try inner.snapshot() }
}

extension LogPoint {
    /// The points around a step; none after it where a landmark of payments or of recovery stands in its place.
    fileprivate static func around(_ write: LogWrite) -> (before: LogPoint, after: LogPoint?) {
        switch write {
        case .begin: (.beginAppend, nil)
        case .commit: (.commitAppend, nil)
        case .abort: (.abortAppend, .abortDurable)
        case .acknowledged: (.acknowledgedAppend, .acknowledgedDurable)
        case .end: (.endAppend, nil)
        case .park: (.parkAppend, .parkDurable)
        case .reversalRefused: (.reversalRefusedAppend, .reversalRefusedDurable)
        case .closeReversal: (.reversalClosedAppend, .reversalClosedDurable)
        case .parkReversal: (.reversalParkedAppend, .reversalParkedDurable)
        case .fenceAttempted: (.fenceAppend, .fenceDurable)
        case .fenceConfirmed: (.fenceConfirmedAppend, .fenceConfirmedDurable)
        case .databaseSeen: (.positionAppend, .positionDurable)
        case .resolve, .adopt, .reopen, .releaseReversal, .releaseQuarantined, .reconcile:
            (.interventionAppend, .interventionDurable)
        }
    }
}

extension FaultInjector {
    /// A log with the points around its steps, where a test asked for any; else the log itself.
    ///
    /// - Parameter deliver: as the log delivers.
    func around(
        _ log: any TransactionLog, deliver: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void
    ) -> any TransactionLog {
        isOn ? FaultyLog(log, self, deliver: deliver) : log
    }

    /// For the log's own work; `nil` if no test asked for anything.
    var logProbe: LogProbe? {
        guard isOn else { return nil }
        return { [self] moment in
            switch moment {
            case .opened: fails(StartPoint.logOpened)
            case .batchTaken: fails(LogPoint.batchTaken)
            case .batchDurable: fails(LogPoint.batchDurable)
            case .trimStep: fails(UpkeepPoint.trimStep)
            case .trimStepDurable: fails(UpkeepPoint.trimStepDurable)
            case .backupCopied: fails(UpkeepPoint.backupCopied)
            case .backupSynced: fails(UpkeepPoint.backupSynced)
            case .backupMarked: fails(UpkeepPoint.backupMarked)
            case .backupNamed: fails(UpkeepPoint.backupNamed)
            case .backupDone: fails(UpkeepPoint.backupDone)
            }
        }
    }
}
