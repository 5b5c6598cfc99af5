#include "backup/local/mapped_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace recover::backup {

MappedRegion::~MappedRegion() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

void MappedRegion::swap(MappedRegion& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(touched_, other.touched_);
  std::swap(count_, other.count_);
}

std::optional<MappedRegion> MappedRegion::map(int fd, std::size_t bytes, Access access) {
  const int rights = access == Access::Read ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const data = ::mmap(nullptr, bytes, rights, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) return std::nullopt;
  MappedRegion region;
  region.data_ = static_cast<std::uint8_t*>(data);
  region.size_ = bytes;
  region.touched_ = std::make_unique<std::atomic<bool>[]>((bytes >> kPieceBits) + 1);
  region.count_ = std::make_unique<std::atomic<std::uint32_t>>(0);
  return region;
}

// What was written stays in the system's cache: the mapping is shared.
void MappedRegion::give_back() const {
  count_->store(0, std::memory_order_relaxed);
  for (std::size_t i = 0; i <= size_ >> kPieceBits; ++i) {
    touched_[i].store(false, std::memory_order_relaxed);
  }
  ::madvise(data_, size_, MADV_DONTNEED);
}

posix::Descriptor open_nameless(const std::string& folder) {
  constexpr int kFlags = O_RDWR | O_CLOEXEC;
  posix::Descriptor file(::open(folder.c_str(), kFlags | O_TMPFILE, 0600));
  if (file) return file;
  // Not every file system can do that.
  std::string name = folder + "/.recover-XXXXXX";
  file = posix::Descriptor(::mkostemp(name.data(), O_CLOEXEC));
  if (file) ::unlink(name.c_str());
  return file;
}

}  // namespace recover::backup
