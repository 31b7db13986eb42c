import Foundation
import Testing

@testable import Assembly

/// The rules that hold between settings.
@Suite struct RuleTests {
    // MARK: - Databases

    /// Goal: without a database there is no server, and the message shows how one is written.
    @Test func aDatabaseMustBeNamed() throws {
        let source = try SettingSource(arguments: [], environment: [:])
        let error = try #require(throws: SettingError.self) { try NodeSettings(source) }
        #expect(error.description == "DB_URI is not set; write postgresql://user@host:5432/database")
    }

    /// Goal: several databases in one variable keep their order; blanks around the commas do not matter.
    @Test func oneVariableMayNameSeveral() throws {
        let all = try settings(["DB_URI": "postgresql://a@h1/one, postgresql://b@h2/two ,postgresql://c@h3/three"])
        #expect(all.databases.map { "\($0)" } == ["a@h1/one", "b@h2/two", "c@h3/three"])
    }

    /// Goal: numbered databases are ordered by number, ten after nine.
    @Test func numberedDatabasesAreOrderedByNumber() throws {
        let environment = Dictionary(
            uniqueKeysWithValues: (1...11).map { ("DB_URI_\($0)", "postgresql://u@h\($0)/db") })
        #expect(try settings(environment).databases.map { "\($0)" } == (1...11).map { "u@h\($0)/db" })
    }

    /// Goal: numbers may come from several sources; flag beats environment for each.
    @Test func numberedDatabasesMayComeFromSeveralSources() throws {
        let all = try settings(
            ["DB_URI_1": "postgresql://u@h1/db", "DB_URI_2": "postgresql://u@h2/db"],
            flags: ["--db-uri-2=postgresql://u@other/db"])
        #expect(all.databases.map { "\($0)" } == ["u@h1/db", "u@other/db"])
    }

    /// Goal: both forms at once, a gap, and an empty place are refused: a database in the wrong place would look for its payments
    /// elsewhere.
    @Test func databasesThatAreNotClearAreRefused() throws {
        let uri = "postgresql://u@h/db"
        let both = try #require(fault(["DB_URI": uri, "DB_URI_1": uri]))
        #expect(both.description == "DB_URI and DB_URI_1 are both set; use one form")
        let gap = try #require(fault(["DB_URI_1": uri, "DB_URI_3": uri]))
        #expect(gap.variable == "DB_URI_2" && gap.problem.contains("without a gap"))
        let second = try #require(fault(["DB_URI_2": uri]))
        #expect(second.variable == "DB_URI_1")
        for text in [uri + ",", "," + uri, uri + ",," + uri, ","] {
            #expect(try #require(fault(["DB_URI": text])).variable == "DB_URI")
        }
        let wrong = try #require(fault(["DB_URI_1": uri, "DB_URI_2": "nonsense"]))
        #expect(wrong.variable == "DB_URI_2")
        let many = Array(repeating: uri, count: 256).joined(separator: ",")
        #expect(try #require(fault(["DB_URI": many])).problem.contains("more than 255"))
        #expect(try settings(["DB_URI": String(many.dropLast(uri.utf8.count + 1))]).databases.count == 255)
    }

    /// Goal: whatever is wrong with an address, its password is in no message and in no description.
    @Test(arguments: [
        "postgresql://u:sesame@h/db?sslmode", "postgresql://u:sesame@h/db?nonsense=1", "postgresql://u:sesame@[::1/db",
        "postgresql://u:ses%zzsesame@h/db", "host=h password=sesame nonsense=1", "host=h password='sesame",
        "host=h password sesame", "postgres//u:sesame@h/db", "postgresql://u:sesame@h/db?sslmode=1&sesame",
        "sesame", "postgresql://u:sesame@h/db?=sesame",
    ])
    func noMessageShowsAPassword(uri: String) throws {
        for form in [["DB_URI": uri], ["DB_URI_1": uri]] {
            let error = try #require(fault(form), "\(uri)")
            #expect(!"\(error)\(error.problem)\(String(reflecting: error))".contains("sesame"), "\(error)")
        }
        let error = try #require(fault(flags: ["--db-uri", uri]))
        #expect(!"\(error)".contains("sesame"))
    }

    /// Goal: a mistake in one of several addresses shows none of their passwords.
    @Test func noMessageShowsANeighboursPassword() throws {
        let error = try #require(fault(["DB_URI": "postgresql://u:sesame@h/db,nonsense,host=x password=sesame"]))
        #expect(error.variable == "DB_URI" && !"\(error)".contains("sesame"))
    }

    /// Goal: a right address does not show its password either.
    @Test func noDescriptionShowsAPassword() throws {
        let all = try settings(["DB_URI": "postgresql://u:sesame@h/db"])
        #expect(all.databases.map { "\($0)" } == ["u@h/db"])
        var shown = ""
        dump(all.databases, to: &shown)
        #expect(!shown.contains("sesame") && !String(reflecting: all.databases).contains("sesame"))
    }

    // MARK: - Addresses

    /// Goal: an address that only this machine reaches needs no permission.
    @Test(arguments: ["127.0.0.1", "127.255.0.9", "::1", "localhost"])
    func loopbackIsAllowed(address: String) throws {
        #expect(try settings(["BIND": address]).listener.bind == address)
    }

    /// Goal: any other address, and a name that only looks like loopback, needs an explicit permission.
    @Test(arguments: [
        "0.0.0.0", "::", "10.0.0.1", "192.168.1.1", "128.0.0.1", "example.com", "127.example.com",
        "127.0.0.1.example.com", "127.0.0", "127.0.0.256", "localhost.example.com", "::ffff:10.0.0.1",
    ])
    func otherAddressesNeedPermission(address: String) throws {
        let error = try #require(fault(["BIND": address]))
        #expect(error.variable == "BIND" && error.problem.contains("ALLOW_REMOTE_BIND=1"))
        #expect(try settings(["BIND": address, "ALLOW_REMOTE_BIND": "1"]).listener.bind == address)
    }

    // MARK: - The token key

    /// Goal: whoever has the log must not have its key as well: no spelling of a place in STATE_DIR is taken.
    @Test func theKeyMustNotLieInTheStateDirectory() throws {
        let folder = try Folder()
        let state = folder.path + "/state"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/link", withDestinationPath: state)
        let pairs = [
            (state, state + "/token.key"), (state, state + "/deep/er/token.key"), (state + "/", state + "/token.key"),
            (state, folder.path + "/x/../state/token.key"), (state + "/../state", state + "/token.key"),
            (state, folder.path + "/link/token.key"), (folder.path + "/link", state + "/token.key"),
            ("state", "state/token.key"), ("./state", "state/./token.key"), (state, state),
        ]
        for (directory, key) in pairs {
            let error = fault(["STATE_DIR": directory, "TOKEN_KEY_FILE": key])
            #expect(error?.variable == "TOKEN_KEY_FILE", "STATE_DIR \(directory), TOKEN_KEY_FILE \(key)")
        }
        for key in [folder.path + "/token.key", state + "-2/token.key", state + ".key"] {
            #expect(fault(["STATE_DIR": state, "TOKEN_KEY_FILE": key]) == nil, "\(key)")
        }
    }

    /// Goal: a key that is itself a link into STATE_DIR lies there.
    @Test func aLinkIntoTheStateDirectoryIsNoWayAround() throws {
        let folder = try Folder()
        let state = folder.path + "/state"
        try FileManager.default.createDirectory(atPath: state, withIntermediateDirectories: true)
        try "x".write(toFile: state + "/hidden", atomically: true, encoding: .utf8)
        let link = folder.path + "/token.key"
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: state + "/hidden")
        #expect(fault(["STATE_DIR": state, "TOKEN_KEY_FILE": link])?.variable == "TOKEN_KEY_FILE")
    }

    /// Goal: `~` is the home directory, as people write it where no shell does it for them.
    @Test func theHomeDirectoryMayBeWrittenShort() throws {
        #expect(try settings(["TOKEN_KEY_FILE": "~/k"]).tokenKeyFile == NSHomeDirectory() + "/k")
    }
}
