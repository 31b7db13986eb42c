import Foundation
import Synchronization

/// A file system of a few megabytes that a test may fill up, or break so that the kernel makes it read-only.
///
/// It is an ext4 in a file, mounted in a mount namespace of its own: nobody else's process keeps it alive, and it is gone with the
/// last process in it, however the test ends. What is to see it is started in the namespace (``entrance``); the test itself reads
/// and writes it by way of `/proc`.
final class SmallDisk {
    /// Where it is mounted, for processes in the namespace.
    let mountPoint: String
    private let image: String
    private var holder: ChildProcess?
    private let number: Int
    private static let disks = Atomic<Int>(0)

    /// Why there can be none here; `nil` if there can. Found out by making one, once.
    static let obstacle: String? = {
        guard geteuid() == 0 else { return "only root may mount a file system" }
        do {
            let disk = try SmallDisk(megabytes: 16)
            defer { disk.end() }
            return nil
        } catch {
            return "no file system can be mounted from a file here: \(error)"
        }
    }()

    static var isAvailable: Bool {
        if let obstacle { print("SKIPPED, small disk: \(obstacle)") }
        return obstacle == nil
    }

    init(megabytes: Int) throws {
        number = Self.disks.add(1, ordering: .relaxed).newValue
        let directory = try RunDirectory.shared().make("disk-\(number)")
        guard chmod(directory, 0o755) == 0 else { throw HarnessError("chmod \(directory)") }
        image = directory + "/image"
        mountPoint = directory + "/mounted"
        try FileManager.default.createDirectory(atPath: mountPoint, withIntermediateDirectories: false)
        guard FileManager.default.createFile(atPath: image, contents: nil), truncate(image, off_t(megabytes << 20)) == 0
        else { throw HarnessError("cannot make \(image): \(String(cString: strerror(errno)))") }
        // No blocks are kept for root, who the tests may be.
        try Tool.check(Tool.locate("mkfs.ext4"), ["-q", "-F", "-m", "0", image])
        try mount()
    }

    deinit { end() }

    private func mount() throws {
        let log = "\(image).log-\(Self.disks.add(1, ordering: .relaxed).newValue)"
        let script = """
            mount -t ext4 -o loop,errors=remount-ro,commit=1 "$1" "$2" || exit 1
            chmod 755 "$2"; findmnt -no SOURCE "$2"; exec sleep 3600
            """
        let started = try ChildProcess(
            name: "small disk", executable: Tool.locate("unshare"),
            arguments: [
                "--mount", "--propagation", "private", "--", Tool.locate("bash"), "-c", script, "bash", image,
                mountPoint,
            ],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], output: log, errors: log)
        holder = started
        try Wait.until("the small disk is mounted", within: .seconds(20)) {
            let text = try Files.text(log)
            guard started.isRunning else { throw HarnessError("it cannot be mounted: \(text)") }
            device = text.hasPrefix("/dev/") ? String(text.prefix { $0 != "\n" }) : nil
            return device != nil && text.hasSuffix("\n")
        }
    }

    /// The loop device.
    private(set) var device: String?

    /// What a command is started through, so that it sees the disk.
    var entrance: [String] {
        get throws {
            guard let holder else { throw HarnessError("the small disk is not mounted") }
            return [try Tool.locate("nsenter"), "--mount=/proc/\(holder.pid)/ns/mnt", "--"]
        }
    }

    /// The mounted directory as this process may use it.
    var path: String {
        get throws {
            guard let holder else { throw HarnessError("the small disk is not mounted") }
            return "/proc/\(holder.pid)/root\(mountPoint)"
        }
    }

    /// What is free for a process without privileges, bytes.
    var freeBytes: Int {
        get throws {
            var status = statvfs()
            guard try statvfs(path, &status) == 0 else { throw HarnessError("statvfs of the small disk") }
            return Int(status.f_bavail) * Int(status.f_frsize)
        }
    }

    /// Takes what is free, to the last block.
    ///
    /// - Parameter leaving: bytes that stay free.
    func fill(leaving bytes: Int = 0) throws {
        let script = """
            cd "$1" || exit 1
            free=$(($(stat --file-system --format='%a * %S' .) - $2))
            if ((free > 0)); then fallocate --length "$free" "filling-$3"; fi
            if (($2 == 0)); then
                dd if=/dev/zero of="filling-$3-b" bs=64k; dd if=/dev/zero of="filling-$3-c" bs=1k
            fi
            sync --file-system .
            """
        let part = "\(Self.disks.add(1, ordering: .relaxed).newValue)"
        _ = try Tool.run(
            Tool.locate("bash"), ["-c", script, "bash", path, "\(bytes)", part],
            environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"])
        let free = try freeBytes
        guard free <= bytes else { throw HarnessError("the small disk was not filled: \(free) bytes are free") }
    }

    /// Gives back what ``fill(leaving:)`` took.
    func empty() throws {
        for name in try FileManager.default.contentsOfDirectory(atPath: path) where name.hasPrefix("filling-") {
            try FileManager.default.removeItem(atPath: path + "/" + name)
        }
    }

    /// Whether the kernel offers to have an error of the file system made, upon which it allows no more writes.
    var canBreak: Bool { access(trigger, W_OK) == 0 }

    private var trigger: String { "/sys/fs/ext4/\(device?.dropFirst("/dev/".count) ?? "")/trigger_fs_error" }

    /// Has an error of the file system made: the kernel makes it read-only (`errors=remount-ro`).
    func breakDown() throws {
        let descriptor = open(trigger, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw HarnessError("\(trigger): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        guard write(descriptor, "1\n", 2) == 2 else {
            throw HarnessError("\(trigger): \(String(cString: strerror(errno)))")
        }
    }

    /// Unmounts it, checks it as an operator would, and mounts it again. Nobody may be using it.
    func repair() throws {
        end()
        let lost = device
        try Wait.until("\(lost ?? "the device") is given back", within: .seconds(20)) {
            try !Tool.check(Tool.locate("losetup"), ["--associated", image]).contains("/dev/")
        }
        // 0: nothing was wrong; 1: errors were corrected.
        let checked = try Tool.run(Tool.locate("fsck.ext4"), ["-f", "-y", image])
        guard checked.status == .code(0) || checked.status == .code(1) else {
            throw HarnessError("the small disk could not be repaired: \(checked)")
        }
        try mount()
    }

    /// The disk goes with the last process that sees it.
    func end() {
        holder?.kill()
        holder = nil
    }
}
