import Coordinator
import PostgresParticipant
import Testing

@testable import Assembly

/// What a preflight says of a database, by the facts alone.
@Suite struct DatabaseDiagnosisTests {
    private func complaints(_ change: (inout PostgresDiagnosis) -> Void) -> [String] {
        DoctorSamples.findings(change).complaints
    }

    @Test("Goal: where all is well nothing is complained of, and every check has its own name")
    func healthy() {
        let findings = Diagnosis(facts: DoctorSamples.facts).findings
        #expect(findings.complaints == [])
        #expect(Set(findings.map { "\($0.subject) \($0.id)" }).count == findings.count)
        #expect(DoctorReport(findings: findings).exitCode == 0)
    }

    @Test("Goal: prepared slots are compared with what is taken, the pool and the payments in flight")
    func slots() throws {
        func complaint(_ slots: Int, others: Int = 0) -> String? {
            complaints {
                $0.settings["max_prepared_transactions"] = "\(slots)"
                $0.prepared = (0..<others).map { DoctorSamples.prepared("theirs_\($0)") }
            }.first { $0.hasPrefix("database.prepared_slots") }
        }
        #expect(complaint(512) == nil)
        #expect(complaint(512, others: 1) == "database.prepared_slots note")
        #expect(complaint(33, others: 1) == "database.prepared_slots note")
        #expect(complaint(33, others: 2) == "database.prepared_slots warning")
        #expect(complaint(2, others: 2) == "database.prepared_slots problem")
        #expect(complaint(0) == "database.prepared_slots problem")
        let off = try #require(
            DoctorSamples.findings { $0.settings["max_prepared_transactions"] = "0" }["database.prepared_slots"])
        #expect(off.found.contains("max_prepared_transactions is 0"))
        #expect(off.advice?.contains("max_prepared_transactions = 512") == true)
    }

    @Test("Goal: databases that share a cluster share its limits")
    func sharedCluster() {
        let findings = DoctorSamples.findings(facts: { facts in
            var second = DoctorSamples.database
            second.identity = DatabaseIdentity(systemIdentifier: 77, databaseOID: 6)
            second.settings["max_prepared_transactions"] = "63"
            second.fence = nil
            facts.databases.append(.success(second))
            facts.configuration.databases.append("pay@db:5432/second")
        })
        #expect(
            findings.complaints == [
                "configuration.databases problem", "database.prepared_slots warning",
            ])
        #expect(findings["database.connections"]?.found.contains("we take 66") == true)
    }

    @Test("Goal: connections that do not fit, or that a limit of the role forbids, are warned of")
    func connections() {
        #expect(complaints { $0.settings["max_connections"] = "40" } == ["database.connections warning"])
        #expect(complaints { $0.settings["max_connections"] = "41" } == [])
        #expect(complaints { $0.role?.connectionsUsed = 34 + 60 } == ["database.connections warning"])
        #expect(complaints { $0.role?.connectionsMax = 32 } == ["database.connections warning"])
        #expect(complaints { $0.role?.databaseConnectionsMax = 33 } == [])
    }

    @Test("Goal: settings that lose payments are problems, those that only slow them are not")
    func durability() {
        #expect(complaints { $0.settings["fsync"] = "off" } == ["database.fsync problem"])
        #expect(complaints { $0.settings["full_page_writes"] = "off" } == ["database.full_page_writes warning"])
        #expect(complaints { $0.settings["synchronous_commit"] = "off" } == ["database.synchronous_commit note"])
        let id = "database.synchronous_standby_names"
        func standbys(_ count: Int?) -> [String] {
            complaints {
                $0.settings["synchronous_standby_names"] = "one"
                $0.synchronousStandbys = count
            }
        }
        #expect(standbys(0) == ["\(id) problem"])
        #expect(standbys(1) == ["\(id) note"])
        #expect(standbys(nil) == ["\(id) note"])
    }

    @Test("Goal: a session that does not have what was asked for is a problem; one that may be ended is warned of")
    func session() throws {
        let id = "database.session"
        #expect(complaints { $0.settings["lock_timeout"] = "0" } == ["\(id) problem"])
        #expect(complaints { $0.settings["client_connection_check_interval"] = nil } == [])
        #expect(complaints { $0.settings["idle_session_timeout"] = "60000" } == ["\(id) warning"])
        let ended = try #require(DoctorSamples.findings { $0.settings["idle_session_timeout"] = "60000" }[id])
        #expect(ended.advice == "ALTER ROLE pay SET idle_session_timeout = 0")
    }

    @Test("Goal: another database than the log knows, and two numbers for one, are problems")
    func identity() {
        let other = DatabaseIdentity(systemIdentifier: 78, databaseOID: 5)
        #expect(complaints { $0.identity = other } == ["database.identity problem"])
        let twice = DoctorSamples.findings(facts: { facts in
            facts.databases.append(.success(DoctorSamples.database))
            facts.configuration.databases.append("pay@db:5432/payments")
        })
        #expect(twice["configuration.same_database"]?.found.contains("db1 and db2") == true)
    }

    @Test("Goal: the fence is fine with a pair that the log knows, and only then")
    func fence() {
        let other = FencePair(epoch: Epoch(rawValue: 3), incarnation: Incarnation(rawValue: 8))
        let problem = ["database.fence problem"]
        #expect(complaints { $0.fence?.pair = other } == problem)
        #expect(complaints { $0.fence = nil } == problem)
        #expect(complaints { $0.fence?.database = DatabaseIndex(rawValue: 2) } == problem)
        func afterStart(_ change: (inout DoctorFacts.Log.Content) -> Void) -> [String] {
            DoctorSamples.findings(log: change).complaints
        }
        #expect(
            afterStart {
                $0.fences[0].attempted = [DoctorSamples.pair]; $0.fences[0].confirmed = other
            } == [])
        #expect(
            afterStart {
                $0.fences[0].confirmed = other; $0.owners = [other]
            } == problem)
        // A server began to start between the two looks at the log.
        #expect(
            afterStart {
                $0.fences[0].confirmed = other; $0.owners = [other, DoctorSamples.pair]
            } == [])
        let fresh = DoctorSamples.findings(facts: { facts in
            var seen = DoctorSamples.database
            seen.fence = nil
            facts.databases = [.success(seen)]
            facts.log = .absent
        })
        #expect(fresh["database.fence"]?.level == .ok)
    }

    @Test("Goal: rights that are missing, tables that are newer and sessions that cannot be ended are named")
    func role() {
        #expect(complaints { $0.rightsMissing = ["INSERT on transactions"] } == ["database.role problem"])
        #expect(complaints { $0.role?.mayCreateTables = false } == [])
        #expect(
            complaints {
                $0.role?.mayCreateTables = false; $0.schema = nil
            }
                == ["database.role problem", "database.schema note"])
        #expect(complaints { $0.role?.isSuperuser = true } == ["database.role note"])
        #expect(complaints { $0.schema?.usableFrom = 99 } == ["database.schema problem"])
        #expect(
            complaints { $0.backends = .init(count: 2, notTerminable: 1, foreignRoles: "bob") }
                == ["database.backends warning"])
        #expect(
            complaints { $0.unreadable = [.init(what: "pg_prepared_xacts", reason: "permission denied")] }
                == ["database.readable problem"])
    }

    @Test("Goal: branches of ours that this role or this database cannot finish are problems")
    func own() {
        let gid = DoctorSamples.gid()
        func own(_ prepared: PostgresDiagnosis.Prepared, superuser: Bool = false) -> String? {
            complaints {
                $0.prepared = [prepared]
                $0.role?.isSuperuser = superuser
            }.first { $0.hasPrefix("database.prepared_own") }
        }
        #expect(own(DoctorSamples.prepared(gid)) == nil)
        #expect(own(DoctorSamples.prepared(gid, owner: "bob")) == "database.prepared_own problem")
        #expect(own(DoctorSamples.prepared(gid, owner: "bob"), superuser: true) == nil)
        #expect(own(DoctorSamples.prepared(gid, database: "other")) == "database.prepared_own problem")
        #expect(own(DoctorSamples.prepared(gid, age: .seconds(90))) == "database.prepared_own warning")
        #expect(own(DoctorSamples.prepared(DoctorSamples.gid(2), database: "other")) == nil)
    }

    @Test("Goal: others' prepared transactions are noted with owner and database, hostile names made harmless")
    func foreign() throws {
        let findings = DoctorSamples.findings {
            $0.prepared = [DoctorSamples.prepared("visa_x'\n\u{1B}[2J", owner: "bob", database: "books")]
        }
        let foreign = try #require(findings["database.prepared_foreign"])
        #expect(foreign.level == .note)
        #expect(foreign.found.contains("owner bob, database books") && foreign.found.contains("visa_x'??[2J"))
        #expect(findings.allSatisfy { !$0.found.contains("\n") && !$0.found.contains("\u{1B}") })
    }

    @Test(
        "Goal: the oldest prepared transaction, whoever's it is, is warned of by its age and by what vacuum waits for")
    func oldest() {
        func level(_ age: Milliseconds, _ xids: Int) -> DoctorFinding.Level? {
            DoctorSamples.findings {
                $0.prepared = [DoctorSamples.prepared("theirs", age: age, xidAge: xids)]
            }["database.prepared_oldest"]?.level
        }
        #expect(level(.seconds(3599), 9_999_999) == .ok)
        #expect(level(.seconds(3600), 1) == .warning)
        #expect(level(.seconds(1), 10_000_000) == .warning)
        #expect(level(.seconds(1), 500_000_000) == .problem)
    }

    @Test("Goal: clocks are judged beyond what the round trip explains")
    func clock() {
        func level(_ offset: Int64, _ bound: Int64) -> DoctorFinding.Level? {
            DoctorSamples.findings {
                $0.clock = .init(microseconds: offset, boundMicroseconds: bound)
            }["database.clock"]?.level
        }
        #expect(level(999_999, 0) == .ok)
        #expect(level(-1_000_000, 0) == .warning)
        #expect(level(1_400_000, 500_000) == .ok)
        #expect(level(301_000_000, 1000) == .problem)
        #expect(level(.min, 1000) == .problem)
    }

    @Test("Goal: a probe that fails is a problem that quotes the server, and says whether something is left")
    func probe() throws {
        let refused = try #require(
            DoctorSamples.findings {
                $0.probe = .init(gid: "visa_doctor_1", outcome: .refused("denied (SQLSTATE 42501)"), isLeft: false)
            }["database.probe"])
        #expect(
            refused.level == .problem && refused.found.contains("42501") && !refused.found.contains("visa_doctor_1"))
        let unclear = try #require(
            DoctorSamples.findings {
                $0.probe = .init(gid: "visa_doctor_1", outcome: .unclear("no answer"), isLeft: true)
            }["database.probe"])
        #expect(unclear.level == .problem && unclear.found.contains("visa_doctor_1 may be left"))
        let removed = DoctorSamples.findings { $0.leftovers = [.init(gid: "visa_doctor_2", keptBecause: nil)] }
        #expect(removed.complaints == ["database.probe_leftovers note"])
        let kept = DoctorSamples.findings { $0.leftovers = [.init(gid: "visa_doctor_2", keptBecause: "not ours")] }
        #expect(kept.complaints == ["database.probe_leftovers warning"])
    }

    @Test("Goal: a database that is away is told from one that is refused, and only the first is exit code 6")
    func notSeen() {
        func report(_ kind: PostgresDiagnosisError.Kind) -> DoctorReport {
            DoctorReport(
                findings: DoctorSamples.findings(facts: {
                    $0.databases = [.failure(PostgresDiagnosisError(kind, "reason"))]
                }))
        }
        #expect(report(.unreachable).exitCode == 6 && report(.unreachable).isIncomplete)
        #expect(report(.standby).exitCode == 1 && !report(.standby).isIncomplete)
        #expect(report(.refused).exitCode == 1)
        #expect(report(.unreachable).findings.complaints == ["database.connection problem"])
    }
}
