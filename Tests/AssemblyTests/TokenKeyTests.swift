import Foundation
import Payments
import Synchronization
import Testing

@testable import Assembly

/// The file of the secret that tokens are keyed with.
@Suite struct TokenKeyTests {
    /// A directory of its own for each test, removed with it.
    private final class Folder {
        let path = NSTemporaryDirectory() + "holdfast-key-\(UInt64.random(in: 0 ... .max))"

        init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

        deinit {
            do { try FileManager.default.removeItem(atPath: path) } catch { Issue.record(error) }
        }

        var key: String { path + "/token.key" }

        func write(_ bytes: [UInt8], mode: Int = 0o600) throws {
            try Data(bytes).write(to: URL(fileURLWithPath: key))
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: key)
        }

        func mode(_ path: String) throws -> Int {
            let attributes = try FileManager.default.attributesOfItem(atPath: path)
            return try #require((attributes[.posixPermissions] as? NSNumber)?.intValue)
        }

        var files: [String] { get throws { try FileManager.default.contentsOfDirectory(atPath: path) } }
    }

    private static let digits = String(repeating: "0123456789abcDEF", count: 4)

    /// Goal: the key that is made can be read by its owner alone, holds 64 digits, and is the same when it is read back.
    @Test func aKeyIsMadeOnceAndReadBack() throws {
        let folder = try Folder()
        let path = folder.path + "/deep/er/token.key"
        let (made, isNew) = try TokenKey.load(from: path)
        #expect(isNew)
        #expect(try folder.mode(path) == 0o600)
        #expect(try folder.mode(folder.path + "/deep") == 0o700)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text.utf8.count == 65 && text.hasSuffix("\n") && text.dropLast().allSatisfy { $0.isHexDigit })

        let (again, isNewAgain) = try TokenKey.load(from: path)
        #expect(!isNewAgain && again.id == made.id)
        #expect(again.requestHash(of: [1, 2, 3]) == made.requestHash(of: [1, 2, 3]))
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/deep/er") == ["token.key"])
    }

    /// Goal: a key that others could read is refused; the message names the file and says what to do.
    @Test(arguments: [0o640, 0o604, 0o660, 0o644, 0o610, 0o601])
    func aKeyThatOthersCanReadIsRefused(mode: Int) throws {
        let folder = try Folder()
        try folder.write(Array(Self.digits.utf8), mode: mode)
        let error = try #require(throws: TokenKeyError.self) { try TokenKey.load(from: folder.key) }
        #expect(error.description == "the key file \(folder.key) can be read by others; set its mode to 0600")
    }

    /// Goal: digits are taken in either case, with line ends after them; as two servers' editors leave them.
    @Test(arguments: ["", "\n", "\r\n", "  \n", "\t"])
    func wellFormedFilesAreTaken(end: String) throws {
        let folder = try Folder()
        try folder.write(Array((Self.digits + end).utf8))
        let (key, isNew) = try TokenKey.load(from: folder.key)
        #expect(!isNew)
        let secret = Array(repeating: [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF] as [UInt8], count: 4).joined()
        #expect(key.id == TokenKey(secret: Array(secret)).id)
    }

    /// Goal: whatever else a file holds is refused without a crash, left as it is, and not quoted.
    @Test(arguments: [
        [], Array("\n".utf8), Array(digits.dropLast().utf8), Array((digits + "0").utf8), Array((digits + "00").utf8),
        Array((" " + digits).utf8), Array((digits + "\n" + digits + "\n").utf8), Array((digits + " x").utf8),
        Array((digits + "\n\nx").utf8), Array(String(repeating: "+a", count: 32).utf8),
        Array(String(repeating: "-1", count: 32).utf8), Array(String(repeating: "é", count: 32).utf8),
        Array(String(repeating: "zz", count: 32).utf8), [UInt8](repeating: 0, count: 64),
        [UInt8](repeating: 0xFF, count: 64), [UInt8](repeating: 0xE2, count: 32), [UInt8](0..<32),
    ])
    func malformedFilesAreRefused(content: [UInt8]) throws {
        let folder = try Folder()
        try folder.write(content)
        let error = try #require(throws: TokenKeyError.self) { try TokenKey.load(from: folder.key) }
        #expect(error.problem == "is not a key: it must hold 64 hexadecimal digits and nothing else")
        #expect(try Array(Data(contentsOf: URL(fileURLWithPath: folder.key))) == content)
    }

    /// Goal: a place where no file can be is an error that says so.
    @Test func aPlaceThatCannotBeWrittenIsAnError() throws {
        let folder = try Folder()
        try folder.write(Array(Self.digits.utf8))
        #expect(throws: TokenKeyError.self) { try TokenKey.load(from: folder.key + "/below") }
        #expect(throws: TokenKeyError.self) { try TokenKey.load(from: folder.path) }
    }

    /// Goal: servers that start at once all get the key of the first, and nothing else is left behind.
    @Test func concurrentMakersGetTheSameKey() async throws {
        for _ in 0..<10 {
            let folder = try Folder()
            let path = folder.key
            let makers = 8
            let loaded = Mutex<[Result<UInt32, any Error>]>([])
            let ready = Mutex(0)
            await withCheckedContinuation { continuation in
                for _ in 0..<makers {
                    Thread.detachNewThread {
                        // All begin together, and each may run: threads of the system, not of the cooperative pool.
                        ready.withLock { $0 += 1 }
                        while ready.withLock({ $0 < makers }) { sched_yield() }
                        let result = Result { try TokenKey.load(from: path).key.id }
                        let isLast = loaded.withLock { loaded in
                            loaded.append(result)
                            return loaded.count == makers
                        }
                        if isLast { continuation.resume() }
                    }
                }
            }
            let ids = try loaded.withLock { try $0.map { try $0.get() } }
            #expect(ids.count == makers && Set(ids).count == 1)
            #expect(try folder.files == ["token.key"])
        }
    }

    /// Goal: tokens differ by card, by key and by purpose; the key's name goes with them and is not the secret.
    @Test func tokensDifferByCardKeyAndPurpose() throws {
        let (one, other) = (TokenKey(secret: Array(0..<32)), TokenKey(secret: Array(1..<33)))
        let card = try #require(PAN("4111111111111111"))
        let token = one.token(of: card)
        #expect(token.bytes.count == 32 && token.keyID == one.id)
        #expect(token == TokenKey(secret: Array(0..<32)).token(of: card))
        #expect(one.token(of: try #require(PAN("5500005555555559"))) != token)
        #expect(one.id != other.id && other.token(of: card).bytes != token.bytes)
        #expect(one.requestHash(of: Array("4111111111111111".utf8)).bytes != token.bytes)
        #expect(one.requestHash(of: [1]) != one.requestHash(of: [2]))
    }

    /// Goal: tokens are in logs and databases, so the same secret makes the same token for ever (RFC 2104 with SHA-256, checked with
    /// another implementation).
    @Test func tokensAreTheSameForEver() throws {
        let key = TokenKey(secret: Array(0..<32))
        let card = try #require(PAN("4111111111111111"))
        let hexadecimal = key.token(of: card).bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        #expect(String(key.id, radix: 16) == "c07004e1")
        #expect(hexadecimal == "59b3fd5c05209a8eb71287708080ec2850dbd6f4375b0250826e49951a1844f9")
    }

    /// Goal: one key makes tokens and hashes in many threads at once, each as if it were alone.
    @Test func manyThreadsShareAKey() async throws {
        let key = TokenKey(secret: Array(0..<32))
        let card = try #require(PAN("4111111111111111"))
        let (token, hash) = (key.token(of: card), key.requestHash(of: [1, 2, 3]))
        await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    (0..<500).allSatisfy { _ in key.token(of: card) == token && key.requestHash(of: [1, 2, 3]) == hash }
                }
            }
            for await isSame in group { #expect(isSame) }
        }
    }
}
