// A file layer for SQLite that fails on demand: at the N-th call that changes a file, once or from
// then on. For fault sweeps; one at a time in a process, one thread.
#pragma once

#include <sqlite3.h>

#include <cstdint>

namespace recover::test {

enum class DiskFault : std::uint8_t { Fails, ShortWrite, Full };

class FaultyVfs {
 public:
  static constexpr const char* kName = "recover-faulty";

  FaultyVfs() {
    below_ = sqlite3_vfs_find(nullptr);
    vfs_ = *below_;
    vfs_.zName = kName;
    vfs_.szOsFile = static_cast<int>(sizeof(File)) + below_->szOsFile;
    vfs_.xOpen = &FaultyVfs::open;
    sqlite3_vfs_register(&vfs_, 0);
    current() = this;
  }
  FaultyVfs(const FaultyVfs&) = delete;
  FaultyVfs& operator=(const FaultyVfs&) = delete;
  ~FaultyVfs() {
    sqlite3_vfs_unregister(&vfs_);
    current() = nullptr;
  }

  // The call that changes a file counted from now, 1 for the next; 0: never.
  void fail_at(std::uint64_t call, DiskFault fault, bool persistent) {
    calls_ = 0;
    fail_at_ = call;
    fault_ = fault;
    persistent_ = persistent;
  }
  void heal() { fail_at_ = 0; }
  std::uint64_t calls() const { return calls_; }
  std::uint64_t failures() const { return failures_; }

 private:
  struct File {
    sqlite3_file base;
    sqlite3_file* below() { return reinterpret_cast<sqlite3_file*>(this + 1); }
  };

  static FaultyVfs*& current() {
    static FaultyVfs* vfs = nullptr;
    return vfs;
  }
  static sqlite3_file* below(sqlite3_file* file) { return reinterpret_cast<File*>(file)->below(); }

  bool strikes() {
    ++calls_;
    const bool now = fail_at_ != 0 && (persistent_ ? calls_ >= fail_at_ : calls_ == fail_at_);
    failures_ += now ? 1 : 0;
    return now;
  }

  static int open(sqlite3_vfs* /*vfs*/, const char* name, sqlite3_file* file, int flags, int* out) {
    static const sqlite3_io_methods kMethods = {
        3,        close,       read,       write,   truncate,    sync,       file_size,
        lock,     unlock,      check_lock, control, sector_size, properties, shm_map,
        shm_lock, shm_barrier, shm_unmap,  fetch,   unfetch};
    FaultyVfs& self = *current();
    const int code = self.below_->xOpen(self.below_, name, below(file), flags, out);
    file->pMethods = below(file)->pMethods == nullptr ? nullptr : &kMethods;
    return code;
  }
  static int write(sqlite3_file* f, const void* data, int size, sqlite3_int64 offset) {
    FaultyVfs& self = *current();
    if (!self.strikes()) return below(f)->pMethods->xWrite(below(f), data, size, offset);
    if (self.fault_ == DiskFault::Full) return SQLITE_FULL;
    if (self.fault_ == DiskFault::ShortWrite) {
      (void)below(f)->pMethods->xWrite(below(f), data, size / 2, offset);
    }
    return SQLITE_IOERR_WRITE;
  }
  static int sync(sqlite3_file* f, int flags) {
    if (current()->strikes()) return SQLITE_IOERR_FSYNC;
    return below(f)->pMethods->xSync(below(f), flags);
  }
  static int truncate(sqlite3_file* f, sqlite3_int64 size) {
    if (current()->strikes()) return SQLITE_IOERR_TRUNCATE;
    return below(f)->pMethods->xTruncate(below(f), size);
  }
  static int shm_map(sqlite3_file* f, int page, int size, int extend, void volatile** memory) {
    if (extend != 0 && current()->strikes()) return SQLITE_IOERR_SHMSIZE;
    return below(f)->pMethods->xShmMap(below(f), page, size, extend, memory);
  }
  static int close(sqlite3_file* f) { return below(f)->pMethods->xClose(below(f)); }
  static int read(sqlite3_file* f, void* data, int size, sqlite3_int64 offset) {
    return below(f)->pMethods->xRead(below(f), data, size, offset);
  }
  static int file_size(sqlite3_file* f, sqlite3_int64* size) {
    return below(f)->pMethods->xFileSize(below(f), size);
  }
  static int lock(sqlite3_file* f, int level) { return below(f)->pMethods->xLock(below(f), level); }
  static int unlock(sqlite3_file* f, int level) {
    return below(f)->pMethods->xUnlock(below(f), level);
  }
  static int check_lock(sqlite3_file* f, int* out) {
    return below(f)->pMethods->xCheckReservedLock(below(f), out);
  }
  static int control(sqlite3_file* f, int operation, void* argument) {
    return below(f)->pMethods->xFileControl(below(f), operation, argument);
  }
  static int sector_size(sqlite3_file* f) { return below(f)->pMethods->xSectorSize(below(f)); }
  static int properties(sqlite3_file* f) {
    return below(f)->pMethods->xDeviceCharacteristics(below(f));
  }
  static int shm_lock(sqlite3_file* f, int offset, int count, int flags) {
    return below(f)->pMethods->xShmLock(below(f), offset, count, flags);
  }
  static void shm_barrier(sqlite3_file* f) { below(f)->pMethods->xShmBarrier(below(f)); }
  static int shm_unmap(sqlite3_file* f, int remove) {
    return below(f)->pMethods->xShmUnmap(below(f), remove);
  }
  static int fetch(sqlite3_file* f, sqlite3_int64 offset, int size, void** page) {
    return below(f)->pMethods->xFetch(below(f), offset, size, page);
  }
  static int unfetch(sqlite3_file* f, sqlite3_int64 offset, void* page) {
    return below(f)->pMethods->xUnfetch(below(f), offset, page);
  }

  sqlite3_vfs* below_ = nullptr;
  sqlite3_vfs vfs_{};
  std::uint64_t calls_ = 0;
  std::uint64_t fail_at_ = 0;
  std::uint64_t failures_ = 0;
  DiskFault fault_ = DiskFault::Fails;
  bool persistent_ = false;
};

}  // namespace recover::test
