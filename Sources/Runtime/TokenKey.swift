import Crypto
import Glibc
public import Payments

/// The secret that card tokens and request hashes are keyed with (HMAC-SHA-256). Every server of a deployment uses the same one.
///
/// It is not kept in the state directory: a stolen log without it gives no card away.
public struct TokenKey: Sendable {
    /// Size of the secret, bytes.
    public static let bytes = 32

    private let key: SymmetricKey
    /// Names the key without giving it away: the first four bytes of its HMAC of a fixed text.
    public let id: UInt32

    init(secret: [UInt8]) {
        key = SymmetricKey(data: secret)
        let digest = HMAC<SHA256>.authenticationCode(for: Array("holdfast key id".utf8), using: key)
        id = digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads the file of 64 hexadecimal digits, or makes it (mode 0600) if there is none.
    ///
    /// - Returns: the key, and whether it was made now.
    public static func load(from path: String) throws(TokenKeyError) -> (key: TokenKey, isNew: Bool) {
        if let key = try read(path) { return (key, false) }
        var generator = SystemRandomNumberGenerator()
        let secret = (0..<bytes).map { _ in UInt8.random(in: 0...255, using: &generator) }
        try create(path, secret)
        // Two servers may start at once: the one whose link came first made the key of both.
        guard let key = try read(path) else { throw TokenKeyError(path: path, problem: "cannot be read back") }
        return (key, true)
    }

    private static func read(_ path: String) throws(TokenKeyError) -> TokenKey? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw TokenKeyError(path: path, problem: "cannot be opened: \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & 0o077 == 0 else {
            throw TokenKeyError(path: path, problem: "can be read by others; set its mode to 0600")
        }
        var buffer = [UInt8](repeating: 0, count: 2 * bytes + 2)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        let text = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).trimmed
        let secret = stride(from: 0, to: text.utf8.count - 1, by: 2).compactMap { offset in
            let start = text.index(text.startIndex, offsetBy: offset)
            return UInt8(text[start..<text.index(start, offsetBy: 2)], radix: 16)
        }
        guard text.utf8.count == 2 * bytes, secret.count == bytes else {
            throw TokenKeyError(
                path: path, problem: "is not a key: it must hold 64 hexadecimal digits and nothing else")
        }
        return TokenKey(secret: secret)
    }

    private static func create(_ path: String, _ secret: [UInt8]) throws(TokenKeyError) {
        makeParents(of: path)
        let temporary = "\(path).\(getpid()).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw TokenKeyError(path: path, problem: "cannot be made: \(String(cString: strerror(errno)))")
        }
        let digits = secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
        let written = digits.withCString { Glibc.write(descriptor, $0, strlen($0)) }
        let isSynced = fsync(descriptor) == 0
        close(descriptor)
        defer { unlink(temporary) }
        guard written == digits.utf8.count, isSynced else {
            throw TokenKeyError(path: path, problem: "cannot be written: \(String(cString: strerror(errno)))")
        }
        guard link(temporary, path) == 0 || errno == EEXIST else {
            throw TokenKeyError(path: path, problem: "cannot be made: \(String(cString: strerror(errno)))")
        }
    }

    private static func makeParents(of path: String) {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
            prefix += part + "/"
            mkdir(prefix, 0o700)
        }
    }

    /// The token of a card.
    public func token(of pan: PAN) -> KeyedDigest {
        pan.withDigits { digest(purpose: 1, $0) }
    }

    /// The hash that tells a repeat from another request.
    public func requestHash(of canonical: [UInt8]) -> KeyedDigest {
        digest(purpose: 2, canonical)
    }

    private func digest(purpose: UInt8, _ bytes: [UInt8]) -> KeyedDigest {
        var hmac = HMAC<SHA256>(key: key)
        hmac.update(data: [purpose])
        hmac.update(data: bytes)
        return KeyedDigest(keyID: id, bytes: Array(hmac.finalize()))
    }
}

/// Why there is no key.
public struct TokenKeyError: Error, CustomStringConvertible {
    public let path: String
    public let problem: String
    public var description: String { "the key file \(path) \(problem)" }
}

extension String {
    fileprivate var trimmed: Substring {
        var text = self[...]
        while text.last?.isWhitespace == true { text.removeLast() }
        return text
    }
}
