import Assembly
import Coordinator
import Glibc
import HTTPService
import NIOCore
import NIOPosix
import Runtime
import Synchronization
import Telemetry

/// The listening sockets and their connections.
final class PaymentServer: Sendable {
    private let front: PaymentFront
    private let settings: NodeSettings.Listener
    private let room: ConnectionRoom
    private let events: EventLog
    private let loops: MultiThreadedEventLoopGroup
    private let connections = Atomic(0)
    /// Connections that are being told that they are one too many.
    private let turnedAway = Atomic(0)
    private let listeners = Mutex<[any Channel]>([])

    private static let reusePort = ChannelOptions.socket(
        SocketOptionLevel(SOL_SOCKET), SocketOptionName(SO_REUSEPORT))

    init(front: PaymentFront, settings: NodeSettings.Listener, room: ConnectionRoom, events: EventLog) {
        self.front = front
        self.settings = settings
        self.room = room
        self.events = events
        loops = MultiThreadedEventLoopGroup(numberOfThreads: settings.threads)
    }

    /// Opens both ports.
    ///
    /// - Throws: ``StartRefusal`` that names the variable of the port that cannot be had.
    func listen() async throws {
        try await bind(port: settings.port, variable: "PORT") { [front, settings] channel in
            try channel.pipeline.syncOperations.addHandler(
                ProtocolSniffer(front: front, idleTimeout: .milliseconds(settings.idleTimeout.count)))
        }
        do {
            try await bind(port: settings.adminPort, variable: "ADMIN_PORT") { [front] channel in
                try HTTPServiceHandler.addHTTPService(
                    to: channel.pipeline.syncOperations, responder: front.respond)
            }
        } catch let refusal as StartRefusal {
            // Nobody asked for this very port: another server of the machine has it, and the same is served on PORT.
            guard !settings.isAdminPortExplicit else { throw refusal }
            events.emit(.warning, .starting, .message(refusal.message + "; going on without it"))
        }
    }

    private func bind(
        port: Int, variable: String, _ initialize: @escaping @Sendable (any Channel) throws -> Void
    ) async throws {
        let bootstrap = ServerBootstrap(group: loops)
            .serverChannelOption(.backlog, value: Int32(settings.backlog))
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                // Others may have used the system's descriptors up; without a pause the loop would ask for one again and again.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptBackoffHandler(shouldForwardIOErrorCaught: false) { _ in
                            .milliseconds(ServerLimits.acceptPause)
                        })
                }
            }
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(
                .writeBufferWaterMark,
                value: .init(low: ServerLimits.unsentBytesMax / 2, high: ServerLimits.unsentBytesMax)
            )
            .childChannelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture {
                    try admit(channel) ? initialize(channel) : turnAway(channel)
                }
            }
        let configured =
            settings.reusesPort ? bootstrap.serverChannelOption(Self.reusePort, value: 1) : bootstrap
        do {
            let channel = try await configured.bind(host: settings.bind, port: port).get()
            listeners.withLock { $0.append(channel) }
        } catch {
            let why = (error as? IOError).map { String(cString: strerror($0.errnoCode)) } ?? "\(error)"
            throw StartRefusal(
                "\(variable) \(port) on \(settings.bind) cannot be opened: \(why); stop who has it or set \(variable)",
                exitCode: ProgramExit.failure)
        }
    }

    /// Counts a connection.
    ///
    /// - Returns: whether it is within the limit. One that is not does not take a place, however long it stays.
    private func admit(_ channel: any Channel) -> Bool {
        guard connections.add(1, ordering: .relaxed).newValue <= room.connectionsMax else {
            connections.subtract(1, ordering: .relaxed)
            return false
        }
        channel.closeFuture.whenComplete { [self] _ in connections.subtract(1, ordering: .relaxed) }
        return true
    }

    /// Tells a connection that it is one too many; if too many are being told, closes it without a word.
    private func turnAway(_ channel: any Channel) throws {
        front.desk.counters.add(.serverBusy)
        guard turnedAway.add(1, ordering: .relaxed).newValue <= room.turnedAwayMax else {
            turnedAway.subtract(1, ordering: .relaxed)
            channel.close(promise: nil)
            return
        }
        channel.closeFuture.whenComplete { [self] _ in turnedAway.subtract(1, ordering: .relaxed) }
        try channel.pipeline.syncOperations.addHandler(TurnAwayHandler())
    }

    /// No new connections; those that are open live on.
    func stopListening() async {
        front.stop()
        let open = listeners.withLock { $0 }
        for channel in open {
            do { try await channel.close() } catch { events.emit(.warning, .draining, .message("\(error)")) }
        }
    }

    /// Closes what is still open.
    func close() async {
        do { try await loops.shutdownGracefully() } catch { events.emit(.warning, .stopped, .message("\(error)")) }
    }
}
