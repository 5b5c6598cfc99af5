// A part of a file in memory, read or written in place, of which only so much counts as this
// process's own: pages are given back to the system's cache as others are touched.
//
// Thread-safe for readers. Who maps a file that others may cut short risks SIGBUS: map only what
// has no name, or what is never changed under its name.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "posix/descriptor.h"

namespace recover::backup {

class MappedRegion {
 public:
  enum class Access { Read, Write };

  MappedRegion() = default;
  MappedRegion(MappedRegion&& other) noexcept { swap(other); }
  MappedRegion& operator=(MappedRegion&& other) noexcept {
    swap(other);
    return *this;
  }
  ~MappedRegion();
  // The first `bytes` of the file, from its begin. None: the system refuses.
  static std::optional<MappedRegion> map(int fd, std::size_t bytes, Access access);

  std::size_t size() const noexcept { return size_; }
  // All pages, also those that were read by an address and not by at().
  void give_back() const;
  const std::uint8_t* data() const noexcept { return data_; }
  // REQUIRES: offset < size(). Its page may be given back at any time and comes again when read.
  std::uint8_t* at(std::size_t offset) const {
    touch(offset);
    return data_ + offset;
  }

 private:
  // As much as the kernel brings in at once when a page of it is read.
  static constexpr std::size_t kPieceBits = 16;
  static constexpr std::uint32_t kPiecesMax = 128;  // 8 MiB.

  void touch(std::size_t offset) const {
    std::atomic<bool>& touched = touched_[offset >> kPieceBits];
    if (touched.load(std::memory_order_relaxed)) return;
    touched.store(true, std::memory_order_relaxed);
    if (count_->fetch_add(1, std::memory_order_relaxed) + 1 >= kPiecesMax) give_back();
  }
  void swap(MappedRegion& other) noexcept;

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::unique_ptr<std::atomic<bool>[]> touched_;  // By piece.
  std::unique_ptr<std::atomic<std::uint32_t>> count_;
};

// A file without a name in `folder`, gone when closed. Not open: the folder is not there or does
// not let us.
posix::Descriptor open_nameless(const std::string& folder);

}  // namespace recover::backup
