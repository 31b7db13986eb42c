import Testing

@testable import Assembly

/// Where a setting's text comes from.
@Suite struct SettingSourceTests {
    private static func source(
        _ arguments: [String] = [], _ environment: [String: String] = [:]
    ) throws(SettingError) -> SettingSource {
        try SettingSource(arguments: arguments, environment: environment)
    }

    private static func fault(_ arguments: [String], _ environment: [String: String] = [:]) -> SettingError? {
        do throws(SettingError) {
            _ = try source(arguments, environment)
            return nil
        } catch {
            return error
        }
    }

    /// Goal: a flag beats the environment, which beats the file, which beats the default.
    @Test func aFlagBeatsTheEnvironmentWhichBeatsTheFile() throws {
        let folder = try Folder()
        let file = try folder.file(#"{"PORT":"1001","ADMIN_PORT":1002,"BIND":"127.0.0.3","QUEUE_CAP":7}"#)
        let environment = ["CONFIG_FILE": file, "PORT": "2001", "ADMIN_PORT": "2002"]
        let all = try settings(environment, flags: ["--port", "3001"])
        #expect(all.listener.port == 3001)
        #expect(all.listener.adminPort == 2002)
        #expect(all.listener.bind == "127.0.0.3")
        #expect(all.coordinator.queueMax == 7)
        #expect(all.coordinator.inFlightMax == 512)
    }

    /// Goal: the flag that names the file beats the variable that does.
    @Test func theFlagsFileBeatsTheEnvironments() throws {
        let folder = try Folder()
        let file = try folder.file(#"{"PORT":1001}"#)
        let all = try settings(["CONFIG_FILE": "/nowhere/at/all.json"], flags: ["--config-file=\(file)"])
        #expect(all.listener.port == 1001)
    }

    /// Goal: both ways to write a flag are read; the last of two counts; a value may hold an equals sign.
    @Test func flagsAreReadInBothForms() throws {
        let source = try Self.source(["--port=1", "--state-dir", "a=b", "--port", "2", "--db-uri-2=host=x port=5"])
        #expect(source.text("PORT") == "2" && source.text("STATE_DIR") == "a=b")
        #expect(source.text("DB_URI_2") == "host=x port=5" && source.text("BIND") == nil)
    }

    /// Goal: a flag that does not exist, or has no value, is told by its name.
    @Test(arguments: [
        (["--prot", "1"], "--prot"), (["--prot=1"], "--prot"), (["--port", "1", "--x"], "--x"), (["--"], "--"),
        (["--db-uri-x=1"], "--db-uri-x"), (["--db-uri-0=1"], "--db-uri-0"), (["--db-uri-01=1"], "--db-uri-01"),
        (["--help"], "--help"), (["--port"], "--port"), (["--port="], "--port"), (["--port", ""], "--port"),
        (["--api-token", "--port", "1"], "--api-token"),
    ])
    func wrongFlagsAreNamed(arguments: [String], name: String) throws {
        let error = try #require(Self.fault(arguments))
        #expect(error.variable == name && error.description.hasPrefix("\(name) "))
        #expect(!error.problem.isEmpty)
    }

    /// Goal: what is no flag at all may be a secret: its place is told, and its text is not.
    @Test func whatIsNoFlagIsNotQuoted() throws {
        for word in [
            "postgresql://u:sesame@h/db", "sesame", "-p=sesame", "sesame=--port", "=",
            "--db-uri:postgresql://u:sesame@h/db",
        ] {
            let error = try #require(Self.fault(["--port", "1", word]))
            #expect(error.description.contains("argument 3") && !error.description.contains("sesame"))
            #expect(error.variable.hasPrefix("--"), "it is a fault of the command line")
        }
    }

    /// Goal: an empty text is no setting, as people leave it in unit files and templates.
    @Test func emptyTextsAreNotSet() throws {
        let folder = try Folder()
        let file = try folder.file(#"{"API_TOKEN":"","PORT":""}"#)
        let all = try settings(["CONFIG_FILE": file, "ADMIN_PORT": "", "THREADS": ""])
        #expect(all.listener.apiToken == nil, "an empty token would let everybody in")
        #expect(all.listener.port == 9090 && all.listener.threads == 4)
        #expect(all.listener.adminPort == 9091 && !all.listener.isAdminPortExplicit)
    }

    /// Goal: a file's strings, numbers and booleans are all taken.
    @Test func aFilesValuesMayBeOfAnyPlainKind() throws {
        let folder = try Folder()
        let file = try folder.file(
            #"{"PORT":8000,"TWOPC_PREPARE_TIMEOUT":1.5,"RISK_ENABLED":false,"REUSE_PORT":true,"BIND":"::1"}"#)
        let all = try settings(["CONFIG_FILE": file])
        #expect(all.listener.port == 8000 && all.listener.reusesPort && all.listener.bind == "::1")
        #expect(all.coordinator.prepareTimeout.count == 1500 && all.coordinator.velocity == nil)
    }

    /// Goal: a file with something else in it is refused, and the message names the key.
    @Test(arguments: [
        (#"{"PROT":1}"#, "PROT"), (#"{"port":1}"#, "port"), (#"{"PORT":null}"#, "PORT"), (#"{"PORT":[1]}"#, "PORT"),
        (#"{"PORT":{"x":1}}"#, "PORT"), (#"{"CONFIG_FILE":"other.json"}"#, "CONFIG_FILE"), ("[1]", "CONFIG_FILE"),
        ("{", "CONFIG_FILE"), ("", "CONFIG_FILE"), (#"{"DB_URI_0":"x"}"#, "DB_URI_0"),
    ])
    func wrongFilesAreRefused(text: String, variable: String) throws {
        let folder = try Folder()
        let file = try folder.file(text)
        let error = try #require(Self.fault([], ["CONFIG_FILE": file]))
        #expect(error.variable == variable && error.description.hasPrefix("\(variable) "))
    }

    /// Goal: a file that is not there is an error, not an empty one.
    @Test func aMissingFileIsAnError() throws {
        let error = try #require(Self.fault(["--config-file", "/nowhere/at/all.json"]))
        #expect(error.variable == "CONFIG_FILE" && error.problem.contains("/nowhere/at/all.json"))
    }

    /// Goal: variables of other programs in the environment are nobody's business.
    @Test func otherVariablesAreIgnored() throws {
        let all = try settings(["DB_URI": goodURI, "DB_URI_TEST": "x", "DB_URI_0": "x", "PATH": "/bin", "PORTS": "x"])
        #expect(all.databases.count == 1)
    }
}
