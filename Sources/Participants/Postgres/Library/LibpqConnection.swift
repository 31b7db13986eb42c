import CPostgres
import Glibc

/// Owns one `PGconn` in non-blocking pipeline mode.
///
/// libpq: "a given PGconn [may not be used] by two threads at the same time" (Behavior in Threaded Programs). A connection is
/// made by one thread and then handed to its database's thread, the only one that uses it from there on; that is why it may
/// say `@unchecked Sendable`.
final class LibpqConnection: @unchecked Sendable {
    private let handle: OpaquePointer
    /// Whether a wait for a synchronous standby was given up since ``forgetWarnings()``: the server then reports success,
    /// with WARNING 01000.
    private(set) var hasStandbyWarning = false
    /// Reused for each statement.
    private var values: [UnsafePointer<CChar>?] = []

    private init(owning handle: OpaquePointer) {
        self.handle = handle
        // The receiver is called by libpq within calls on this handle only, and the handle does not outlive `self`.
        PQsetNoticeReceiver(
            handle,
            { context, notice in
                guard let context, let notice else { return }
                Unmanaged<LibpqConnection>.fromOpaque(context).takeUnretainedValue().received(notice)
            }, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit { PQfinish(handle) }

    /// Begins to connect; looks up the host's name, and so may block. `nil` if there is no memory.
    static func start(_ parameters: [ConnectionParameter]) -> LibpqConnection? {
        var keywords: [UnsafeMutablePointer<CChar>?] = parameters.map { strdup($0.keyword) }
        var values: [UnsafeMutablePointer<CChar>?] = parameters.map { strdup($0.value) }
        keywords.append(nil)
        values.append(nil)
        defer {
            for pointer in keywords { free(pointer) }
            for pointer in values { free(pointer) }
        }
        let handle = keywords.withUnsafeBufferPointer { keywords in
            values.withUnsafeBufferPointer { values in
                keywords.withMemoryRebound(to: UnsafePointer<CChar>?.self) { keywords in
                    values.withMemoryRebound(to: UnsafePointer<CChar>?.self) { values in
                        PQconnectStartParams(keywords.baseAddress, values.baseAddress, 0)
                    }
                }
            }
        }
        return handle.map(LibpqConnection.init(owning:))
    }

    enum ConnectStep {
        case wantsRead
        case wantsWrite
        case connected
        case failed
    }

    func continueConnecting() -> ConnectStep {
        switch PQconnectPoll(handle) {
        case PGRES_POLLING_READING: .wantsRead
        case PGRES_POLLING_WRITING: .wantsWrite
        case PGRES_POLLING_OK: .connected
        default: .failed
        }
    }

    /// After the connection is made; false if libpq refuses.
    func enterPipeline() -> Bool { PQsetnonblocking(handle, 1) == 0 && PQenterPipelineMode(handle) == 1 }

    var isBad: Bool { PQstatus(handle) == CONNECTION_BAD }
    /// Changes while connecting.
    var socket: Int32 { PQsocket(handle) }
    var backendPID: Int32 { PQbackendPID(handle) }
    var serverVersion: Int { Int(PQserverVersion(handle)) }
    /// Whether no transaction block is open.
    var isOutsideTransaction: Bool { PQtransactionStatus(handle) == PQTRANS_IDLE }
    var errorMessage: String {
        PQerrorMessage(handle).map { LibpqText.firstLine(of: String(cString: $0)) } ?? "no message"
    }

    func forgetWarnings() { hasStandbyWarning = false }

    // MARK: Sending

    /// Queues a statement, and the end of its segment if it is the last of it. False if the connection is broken.
    func send(_ statement: Statement) -> Bool {
        let sent =
            switch statement.body {
            case .text(let sql, let parameters): send(sql, parameters)
            case .prepared(let name, let parameters): send(prepared: name, parameters)
            case .prepare(let name, let sql): PQsendPrepare(handle, name.cString, sql.cString, 0, nil) == 1
            }
        guard sent else { return false }
        return !statement.endsSegment || PQpipelineSync(handle) == 1
    }

    private func send(_ sql: String, _ parameters: Parameters) -> Bool {
        parameters.withArrays(scratch: &values) { count, values, lengths, formats in
            PQsendQueryParams(handle, sql, count, nil, values, lengths, formats, 0) == 1
        }
    }

    private func send(prepared name: StaticString, _ parameters: Parameters) -> Bool {
        parameters.withArrays(scratch: &values) { count, values, lengths, formats in
            PQsendQueryPrepared(handle, name.cString, count, values, lengths, formats, 0) == 1
        }
    }

    /// What `body` sends leaves together, as far as a segment holds it, so that the server's process wakes once for it. libpq gives its bytes to the
    /// socket at every sync; meanwhile TCP holds back what does not fill a segment (`tcp(7)`, TCP_CORK). Other sockets refuse the option,
    /// and send as ever.
    func together<Result>(_ body: () -> Result) -> Result {
        hold(true)
        defer { hold(false) }
        return body()
    }

    private func hold(_ isHeld: Bool) {
        var option: Int32 = isHeld ? 1 : 0
        _ = setsockopt(socket, Int32(IPPROTO_TCP), TCP_CORK, &option, socklen_t(MemoryLayout<Int32>.size))
    }

    enum FlushStep {
        case done
        case wantsWrite
        case failed
    }

    func flush() -> FlushStep {
        switch PQflush(handle) {
        case 0: .done
        case 1: .wantsWrite
        default: .failed
        }
    }

    // MARK: Receiving

    /// Takes what has arrived; false if the connection is broken. Results that came before the break can still be taken.
    func consumeInput() -> Bool { PQconsumeInput(handle) == 1 }

    /// Whether ``withNextResult(_:)`` would block.
    var wouldBlock: Bool { PQisBusy(handle) == 1 }

    /// Lends the next result; `nil` is the end of a statement's results.
    func withNextResult(_ body: (borrowing LibpqResult) -> Void) -> Bool {
        guard let pointer = PQgetResult(handle) else { return false }
        let result = LibpqResult(owning: pointer)
        body(result)
        return true
    }

    private func received(_ notice: OpaquePointer) {
        guard let code = PQresultErrorField(notice, SQLError.Field.code),
            let severity = PQresultErrorField(notice, SQLError.Field.severity),
            String(cString: severity) == "WARNING", String(cString: code) == SQLState.warning
        else { return }
        hasStandbyWarning = true
    }

    // MARK: Cancelling

    /// A key that any thread may cancel the running statement with. `nil` if the connection is broken.
    func cancelKey() -> CancelKey? { PQgetCancel(handle).map(CancelKey.init(owning:)) }
}

/// Owns one `PGcancel`: "does not interfere with the connection object" (Canceling Queries in Progress), so that another thread
/// may use it; that is why it may say `@unchecked Sendable`.
final class CancelKey: @unchecked Sendable {
    private let handle: OpaquePointer

    fileprivate init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { PQfreeCancel(handle) }

    /// Asks the server to cancel, over a connection of its own: blocks. The reason if the request could not be sent.
    func cancel() -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Self.messageBytes) { buffer in
            guard let base = buffer.baseAddress else { return "no memory" }
            guard PQcancel(handle, base, Int32(Self.messageBytes)) == 0 else { return nil }
            return LibpqText.firstLine(of: String(cString: base))
        }
    }

    /// The size that the documentation recommends for the message.
    private static let messageBytes = 256
}

extension StaticString {
    /// Static strings end in a zero byte.
    fileprivate var cString: UnsafePointer<CChar> {
        UnsafeRawPointer(utf8Start).assumingMemoryBound(to: CChar.self)
    }
}
