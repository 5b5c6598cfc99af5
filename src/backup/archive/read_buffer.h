// What of a file was read and is not yet stored. It grows where it lies: a copy of a chunk would be
// twice the largest, and what nobody has written to is no memory yet.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>

namespace recover::backup {

class ReadBuffer {
 public:
  std::size_t size() const noexcept { return size_; }
  std::span<std::uint8_t> bytes() noexcept { return {bytes_.get(), size_}; }
  // Keeps what is there; what comes behind it is of any value.
  void grow(std::size_t size) {
    if (size > size_) resize(size);
  }
  // What is behind goes back to the system. REQUIRES: not 0.
  void shrink(std::size_t size) {
    if (size < size_) resize(size);
  }
  void reset() {
    bytes_.reset();
    size_ = 0;
  }

 private:
  void resize(std::size_t size) {
    void* const other = std::realloc(bytes_.get(), size);
    if (other == nullptr) throw std::bad_alloc();
    static_cast<void>(bytes_.release());  // It was moved or is the same.
    bytes_.reset(static_cast<std::uint8_t*>(other));
    size_ = size;
  }

  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };

  std::unique_ptr<std::uint8_t[], Free> bytes_;
  std::size_t size_ = 0;
};

}  // namespace recover::backup
