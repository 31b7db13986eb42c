import Foundation
import Testing

@testable import Assembly

/// The socket in the state directory.
@Suite struct ControlSocketTests {
    private static func mode(_ path: String) throws -> Int {
        try #require(FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int)
    }

    @Test(
        "Goal: the socket is its owner's alone, replaces what a crash left, and can be reached, however long its path is"
    )
    func bindsAndConnects() throws {
        let folder = try Folder()
        let deep = folder.path + "/" + String(repeating: "d", count: 120)
        try FileManager.default.createDirectory(atPath: deep, withIntermediateDirectories: true)
        for directory in [folder.path, deep] {
            let path = directory + "/" + ControlSocket.fileName
            #expect(try ControlSocket.connect(to: directory) == nil, "nothing is there")
            let left = try ControlSocket.bind(in: directory)
            close(left)
            #expect(FileManager.default.fileExists(atPath: path))
            #expect(try ControlSocket.connect(to: directory) == nil, "nobody listens any more")

            let listener = try ControlSocket.bind(in: directory)
            defer { close(listener) }
            #expect(try Self.mode(path) == 0o600)
            #expect(listen(listener, 1) == 0)
            let client = try #require(try ControlSocket.connect(to: directory))
            close(client)
            ControlSocket.remove(from: directory)
            #expect(!FileManager.default.fileExists(atPath: path))
        }
    }

    @Test("Goal: only our own user and root may order")
    func peers() {
        #expect(ControlSocket.maySend(uid: geteuid()) && ControlSocket.maySend(uid: 0))
        #expect(!ControlSocket.maySend(uid: geteuid() + 1))
    }

    @Test("Goal: without a server the sender is told what to do instead")
    func nobodyListens() throws {
        let folder = try Folder()
        let refusal = try #require(throws: StartRefusal.self) {
            try ControlClient.send(.recoverNow(only: []), to: folder.path)
        }
        #expect(refusal.exitCode == ProgramExit.failure)
        #expect(refusal.message.contains("no server runs on") && refusal.message.contains("without --online"))
    }

    @Test("Goal: a directory that cannot be reached is an error with the system's word")
    func unreachable() throws {
        let missing = "/nonexistent/" + String(repeating: "x", count: 120)
        let error = try #require(throws: ControlSocketError.self) { try ControlSocket.connect(to: missing) }
        #expect(error.systemCode == ENOENT)
        #expect(throws: ControlSocketError.self) { try ControlSocket.bind(in: missing) }
    }
}
