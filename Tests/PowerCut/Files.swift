import DiskModel
import Glibc

/// Files and directories of the test's own.
enum Files {
    static func inode(_ path: String) -> UInt64 {
        var status = stat()
        return lstat(path, &status) == 0 ? UInt64(status.st_ino) : 0
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func read(_ path: String) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("open", path) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw failure("examine", path) }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeMutableBytes { raw in
                pread(descriptor, raw.baseAddress?.advanced(by: offset), raw.count - offset, off_t(offset))
            }
            guard count > 0 else { throw failure("read", path) }
            offset += count
        }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("make", path) }
        defer { close(descriptor) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { raw in
                Glibc.write(descriptor, raw.baseAddress?.advanced(by: offset), raw.count - offset)
            }
            guard count > 0 else { throw failure("write", path) }
            offset += count
        }
    }

    /// With those above it, if it is relative.
    static func makeDirectory(_ path: String) throws(Failure) {
        if !path.hasPrefix("/"), let slash = path.lastIndex(of: "/") { try makeDirectory(String(path[..<slash])) }
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw failure("make", path) }
    }

    /// Removes a directory of ours with everything in it.
    static func remove(_ path: String) throws(Failure) {
        for (name, isDirectory) in try entries(path) {
            let entry = path + "/" + name
            if isDirectory {
                try remove(entry)
            } else if unlink(entry) != 0 {
                throw failure("remove", entry)
            }
        }
        guard rmdir(path) == 0 || errno == ENOENT else { throw failure("remove", path) }
    }

    /// Nothing if there is no such directory.
    static func entries(_ path: String) throws(Failure) -> [(name: String, isDirectory: Bool)] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw failure("read", path)
        }
        defer { closedir(directory) }
        var found: [(name: String, isDirectory: Bool)] = []
        while let entry = readdir(directory) {
            let isDirectory = entry.pointee.d_type == UInt8(DT_DIR)
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { found.append((name, isDirectory)) }
        }
        return found.sorted { $0.name < $1.name }
    }

    /// Makes what a cut leaves.
    static func lay(_ image: [(path: String, bytes: [UInt8]?)], in root: String) throws(Failure) {
        try remove(root)
        try makeDirectory(root)
        for (path, bytes) in image {
            if let bytes { try write(bytes, to: root + "/" + path) } else { try makeDirectory(root + "/" + path) }
        }
    }

    /// A disk that holds for certain what is in a directory.
    static func disk(below root: String) throws(Failure) -> Disk {
        var disk = Disk(rootInode: inode(root))
        try add(below: root, "", to: &disk)
        return disk
    }

    private static func add(below root: String, _ folder: String, to disk: inout Disk) throws(Failure) {
        for (name, isDirectory) in try entries(root + "/" + folder) {
            let path = folder.isEmpty ? name : folder + "/" + name
            let full = root + "/" + path
            disk.add(path, inode: inode(full), bytes: isDirectory ? nil : try read(full))
            if isDirectory { try add(below: root, path, to: &disk) }
        }
    }

    private static func failure(_ what: String, _ path: String) -> Failure {
        Failure("cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
