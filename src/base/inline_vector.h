// A short list without the heap: up to `kInline` items live inside it, more in a std::vector.
//
// For what is made and forgotten within one step of the core. Only plain values; never shrinks.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <type_traits>
#include <vector>

namespace recover::base {

template <class T, std::size_t kInline>
class InlineVector {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  InlineVector() = default;
  explicit InlineVector(const std::vector<T>& items) { append(items); }

  void push_back(T item) {
    if (size_ < kInline) {
      inline_[size_] = item;
    } else {
      if (size_ == kInline) more_.assign(inline_.begin(), inline_.end());
      more_.push_back(item);
    }
    ++size_;
  }
  void append(const std::vector<T>& items) {
    for (const T& item : items) push_back(item);
  }
  // REQUIRES: !empty().
  T pop_back() {
    const T last = *(end() - 1);
    --size_;
    if (size_ > kInline) {
      more_.pop_back();
    } else if (size_ == kInline) {
      std::copy_n(more_.begin(), kInline, inline_.begin());
      more_.clear();
    }
    return last;
  }

  bool empty() const noexcept { return size_ == 0; }
  std::size_t size() const noexcept { return size_; }
  const T* begin() const noexcept { return size_ > kInline ? more_.data() : inline_.data(); }
  const T* end() const noexcept { return begin() + size_; }

 private:
  std::array<T, kInline> inline_{};
  std::vector<T> more_;  // All of them, once they do not fit.
  std::size_t size_ = 0;
};

}  // namespace recover::base
