import HTTPService
import NIOCore
import NIOPosix
import Synchronization
import Telemetry

/// Accepts connections and puts the HTTP service on each.
struct Listener {
    private let channel: any Channel

    /// The port, also if any was asked for.
    var port: Int { channel.localAddress?.port ?? 0 }

    /// - Parameter port: 0 for any free one.
    /// - Throws: an error of NIO if the address cannot be bound.
    static func start(
        host: String, port: Int, group: any EventLoopGroup, limits: HTTPServiceLimits,
        responder: @escaping ServiceResponder
    ) async throws -> Listener {
        let files = OpenFiles.allow(SimulatorLimits.connectionsMax + SimulatorLimits.otherFiles)
        let connections = ConnectionCount(max: max(1, files - SimulatorLimits.otherFiles))
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: SimulatorLimits.listenBacklog)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { channel in
                // Others may have used the system's descriptors up; without a pause the loop would ask for one again and again.
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        AcceptBackoffHandler(shouldForwardIOErrorCaught: false) { _ in SimulatorLimits.acceptPause })
                }
            }
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                guard connections.enter() else { return channel.close() }
                channel.closeFuture.whenComplete { _ in connections.leave() }
                return channel.eventLoop.makeCompletedFuture {
                    try HTTPServiceHandler.addHTTPService(
                        to: channel.pipeline.syncOperations, limits: limits, responder: responder)
                }
            }
        return Listener(channel: try await bootstrap.bind(host: host, port: port).get())
    }

    func close() async throws { try await channel.close().get() }
}

/// Bounds the connections of a listener.
private final class ConnectionCount: Sendable {
    private let count = Mutex(0)
    private let max: Int

    init(max: Int) { self.max = max }

    func enter() -> Bool {
        count.withLock { count in
            guard count < max else { return false }
            count += 1
            return true
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}
