import Crypto
import Glibc
public import Payments

/// The secret that card tokens and request hashes are keyed with (HMAC-SHA-256). Every server of a deployment uses the same one.
///
/// It is not kept in the state directory: a stolen log without it gives no card away.
public struct TokenKey: Sendable {
    /// Size of the secret, bytes.
    public static let bytes = 32
    /// Size of a key file, bytes: the digits, and some blanks or line ends after them.
    private static let fileBytesMax = 2 * bytes + 8

    /// HMACs that have taken the key and the byte of their purpose in; each digest goes on from a copy.
    private let ofCards: HMAC<SHA256>
    private let ofRequests: HMAC<SHA256>
    /// Names the key without giving it away: the first four bytes of its HMAC of a fixed text.
    public let id: UInt32

    init(secret: [UInt8]) {
        let key = SymmetricKey(data: secret)
        func begun(purpose: UInt8) -> HMAC<SHA256> {
            var hmac = HMAC<SHA256>(key: key)
            hmac.update(data: [purpose])
            return hmac
        }
        ofCards = begun(purpose: 1)
        ofRequests = begun(purpose: 2)
        let digest = HMAC<SHA256>.authenticationCode(for: Array("holdfast key id".utf8), using: key)
        id = digest.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads the file of 64 hexadecimal digits, or makes it (mode 0600) if there is none.
    ///
    /// - Returns: the key, and whether it was made now.
    public static func load(from path: String) throws(TokenKeyError) -> (key: TokenKey, isNew: Bool) {
        if let key = try read(path) {
            // A start that was killed may have made it and not come to this. One that an operator has put there may lie where nothing is
            // ever written, so a failure says nothing.
            _ = syncDirectory(of: path)
            return (key, false)
        }
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
        guard fstat(descriptor, &status) == 0 else {
            throw TokenKeyError(path: path, problem: "cannot be examined: \(String(cString: strerror(errno)))")
        }
        guard status.st_mode & 0o077 == 0 else {
            throw TokenKeyError(path: path, problem: "can be read by others; set its mode to 0600")
        }
        var buffer = [UInt8](repeating: 0, count: fileBytesMax + 1)
        let count = Glibc.read(descriptor, &buffer, buffer.count)
        guard count <= fileBytesMax, let secret = secret(fromFile: buffer.prefix(max(0, count))) else {
            throw TokenKeyError(
                path: path, problem: "is not a key: it must hold 64 hexadecimal digits and nothing else")
        }
        return TokenKey(secret: secret)
    }

    /// Takes 64 hexadecimal digits and blanks or line ends after them. Whatever bytes a file may hold are only compared, never taken
    /// for text.
    private static func secret(fromFile content: ArraySlice<UInt8>) -> [UInt8]? {
        let digits = content.prefix(2 * bytes)
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }
        guard digits.count == 2 * bytes, content.dropFirst(2 * bytes).allSatisfy(isBlank) else { return nil }
        let values = digits.compactMap { Character(UnicodeScalar($0)).hexDigitValue }
        guard values.count == digits.count else { return nil }
        return stride(from: 0, to: values.count, by: 2).map { UInt8(values[$0] << 4 | values[$0 + 1]) }
    }

    private static func create(_ path: String, _ secret: [UInt8]) throws(TokenKeyError) {
        guard makeParents(of: path) else {
            throw TokenKeyError(path: path, problem: "cannot be made durable: \(String(cString: strerror(errno)))")
        }
        // A name of its own for each attempt: one that a crash left behind is in nobody's way, nor is a process of the same number in
        // another container.
        let temporary = "\(path).\(UInt64.random(in: .min ... .max)).new"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw TokenKeyError(path: path, problem: "cannot be made: \(String(cString: strerror(errno)))")
        }
        let digits = secret.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + "\n"
        let written = digits.withCString { Glibc.write(descriptor, $0, strlen($0)) }
        // A write that is cut short sets no error: the disk is full.
        let isWhole = written == digits.utf8.count
        let code = written >= 0 && !isWhole ? ENOSPC : errno
        let isSynced = isWhole && fsync(descriptor) == 0
        let failure = isWhole ? errno : code
        close(descriptor)
        defer { unlink(temporary) }
        guard isSynced else {
            throw TokenKeyError(path: path, problem: "cannot be written: \(String(cString: strerror(failure)))")
        }
        guard link(temporary, path) == 0 || errno == EEXIST else {
            throw TokenKeyError(path: path, problem: "cannot be made: \(String(cString: strerror(errno)))")
        }
        guard syncDirectory(of: path) else {
            throw TokenKeyError(path: path, problem: "cannot be made durable: \(String(cString: strerror(errno)))")
        }
    }

    /// The file's name is durable only when its directory is: a key lost in a power cut would make every token worthless.
    private static func syncDirectory(of path: String) -> Bool {
        let directory = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return fsync(descriptor) == 0
    }

    /// - Returns: whether those that were made are durable. That one could not be made is told when the file cannot be.
    private static func makeParents(of path: String) -> Bool {
        var prefix = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: false).dropLast() {
            prefix += part + "/"
            if mkdir(prefix, 0o700) == 0, !syncDirectory(of: String(prefix.dropLast())) { return false }
        }
        return true
    }

    /// The token of a card.
    public func token(of pan: PAN) -> KeyedDigest {
        pan.withDigits { digest(ofCards, $0) }
    }

    /// The hash that tells a repeat from another request.
    public func requestHash(of canonical: [UInt8]) -> KeyedDigest {
        digest(ofRequests, canonical)
    }

    private func digest(_ begun: HMAC<SHA256>, _ bytes: [UInt8]) -> KeyedDigest {
        var hmac = begun
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
