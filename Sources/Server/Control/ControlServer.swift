import Assembly
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Telemetry

/// Takes operators' orders over the control socket in the state directory: one order a line, one result a line.
///
/// Who may connect is bounded twice: the socket is its owner's alone, and a peer of another user than ours or root is turned away.
final class ControlServer: Sendable {
    private typealias Connection = NIOAsyncChannel<ByteBuffer, ByteBuffer>
    private typealias Listener = NIOAsyncChannel<Connection, Never>

    private let node: Node
    private let loops = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let connections = Atomic(0)
    private let serving = Mutex<Task<Void, Never>?>(nil)

    init(node: Node) { self.node = node }

    private var directory: String { node.settings.stateDirectory }

    /// Makes the socket and serves it until ``close()``.
    func listen() async throws {
        let first: Listener?
        do {
            first = try await bind()
        } catch let refusal as StartRefusal where refusal.isForSpace {
            // Payments do not wait for it; it is made when there is room.
            node.events.emit(.warning, .order, .message("\(refusal.message); it is tried again"))
            first = nil
        }
        serving.withLock { task in
            task = Task { await serve(first) }
        }
    }

    /// Takes no further order, and removes the socket. To be called while the directory's lock is still held.
    func close() async {
        let task = serving.withLock { $0.take() }
        task?.cancel()
        await task?.value
        ControlSocket.remove(from: directory)
        do {
            try await loops.shutdownGracefully()
        } catch {
            node.events.emit(.warning, .stopped, .message("\(error)"))
        }
    }

    private func bind() async throws -> Listener {
        let descriptor: Int32
        do {
            descriptor = try ControlSocket.bind(in: directory)
        } catch {
            throw StartRefusal(
                "orders could not be taken: \(error)", exitCode: ProgramExit.failure, isForSpace: error.isForSpace)
        }
        return try await ServerBootstrap(group: loops).bind(descriptor) { channel in
            channel.eventLoop.makeCompletedFuture { try Connection(wrappingChannelSynchronously: channel) }
        }
    }

    /// Serves one listener after the other: what ends one, as descriptors that ran out, does not end orders for ever.
    private func serve(_ first: Listener?) async {
        var next = first
        var told = ""
        while !Task.isCancelled {
            do {
                if let listener = next {
                    next = nil
                    try await accept(from: listener)
                }
                guard !Task.isCancelled else { return }
                try await Task.sleep(for: ServerLimits.controlRestartPause)
                next = try await bind()
            } catch {
                guard !Task.isCancelled, told != "\(error)" else { continue }
                told = "\(error)"
                node.events.emit(.warning, .order, .message("the control socket is made anew: \(error)"))
            }
        }
    }

    private func accept(from listener: Listener) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            try await listener.executeThenClose { accepted in
                for try await connection in accepted {
                    group.addTask { await self.serve(connection) }
                }
            }
            group.cancelAll()
        }
    }

    // MARK: - One connection

    private func serve(_ connection: Connection) async {
        let isWithinLimit = connections.add(1, ordering: .relaxed).newValue <= OrderLimits.connectionsMax
        defer { connections.subtract(1, ordering: .relaxed) }
        let channel = connection.channel
        let end = channel.eventLoop.scheduleTask(in: .milliseconds(OrderLimits.connectionTimeMax.count)) {
            channel.close(promise: nil)
        }
        defer { end.cancel() }
        do {
            try await connection.executeThenClose { inbound, outbound in
                guard isWithinLimit, try await isAllowed(channel) else { return }
                var received = ByteBuffer()
                for try await part in inbound {
                    received.writeImmutableBuffer(part)
                    while let line = Self.takeLine(from: &received) {
                        try await outbound.write(await answer(line))
                    }
                    guard received.readableBytes <= OrderLimits.lineBytesMax else {
                        let fault = OrderFault("a line is longer than \(OrderLimits.lineBytesMax) bytes")
                        return try await outbound.write(ByteBuffer(bytes: OrderResult(fault).line))
                    }
                }
            }
        } catch {
            // Whoever ordered is gone. What was ordered is in the log.
            node.events.emit(.info, .order, .message("a connection to the control socket broke: \(error)"))
        }
    }

    private func answer(_ line: ByteBuffer) async throws -> ByteBuffer {
        let result: OrderResult
        do throws(OrderFault) {
            result = await node.carryOut(try OperatorOrder(line: line.readableBytesView))
        } catch {
            result = OrderResult(error)
        }
        return ByteBuffer(bytes: try result.line)
    }

    private static func takeLine(from received: inout ByteBuffer) -> ByteBuffer? {
        guard let end = received.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let line = received.readSlice(length: end - received.readerIndex)
        received.moveReaderIndex(forwardBy: 1)
        return line
    }

    /// `struct ucred` of unix(7).
    private struct Peer: Sendable {
        let pid: Int32
        let uid: UInt32
        let gid: UInt32
    }

    /// Asks the kernel who is at the other end.
    private func isAllowed(_ channel: any Channel) async throws -> Bool {
        guard let provider = channel as? any SocketOptionProvider else { return false }
        let peer: Peer = try await provider.unsafeGetSocketOption(
            level: SocketOptionLevel(SOL_SOCKET), name: SocketOptionName(SO_PEERCRED)
        ).get()
        guard !ControlSocket.maySend(uid: peer.uid) else { return true }
        node.events.emit(
            .warning, .order,
            .message("process \(peer.pid) of user \(peer.uid) wanted to order something and may not"))
        return false
    }
}
