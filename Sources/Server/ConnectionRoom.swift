import Assembly
import Telemetry

/// How many clients may be connected, so that they take no descriptor that a database, the network or the log needs.
struct ConnectionRoom {
    let connectionsMax: Int
    /// Those over the limit that are told so at the same time; further ones are closed at once.
    let turnedAwayMax: Int
    /// The limit on open files, if it leaves less room than was asked for.
    let limit: Int?

    /// - Throws: ``StartRefusal`` if the system allows fewer open files than are needed without clients.
    init(_ settings: NodeSettings) throws(StartRefusal) {
        let wanted = settings.listener.connectionsMax
        let needed = settings.descriptorsNeeded
        let allowed = OpenFiles.allow(needed + wanted + ServerLimits.turnedAwayMax)
        let room = allowed - needed
        guard room >= ServerLimits.connectionRoomMin else {
            throw StartRefusal(
                "\(allowed) files may be open (ulimit -n), and these settings need at least "
                    + "\(needed + ServerLimits.connectionRoomMin); raise the limit or lower DB_POOL_SIZE",
                exitCode: ProgramExit.configuration)
        }
        turnedAwayMax = min(ServerLimits.turnedAwayMax, room / ServerLimits.turnedAwayShare)
        connectionsMax = min(wanted, room - turnedAwayMax)
        limit = connectionsMax < wanted ? allowed : nil
    }
}
