/// How the pool is opened.
extension DatabaseCore {
    /// Makes the pool's connections: those that were there before at once, new ones one after the other.
    func connectPool() {
        if poolStarted == 0 {
            poolStarted = min(PostgresLimits.poolConnectionsFirst, pool.count)
            growPoolLater()
        }
        for link in pool[..<poolStarted] { link.connect() }
    }

    private func growPoolLater() {
        guard poolStarted < pool.count else { return }
        _ = loop.schedule(after: PostgresLimits.poolGrowthPause) { [weak self] in
            guard let self, !isOver else { return }
            pool[poolStarted].connect()
            poolStarted += 1
            growPoolLater()
        }
    }
}
