// The names in a folder, sorted by their bytes: as many bytes as they have, and five each.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace recover::backup {

class NameList {
 public:
  // `is_file` as the folder that lists it says; false: unknown.
  void add(std::string_view name, bool is_file) {
    begins_.push_back(static_cast<std::uint32_t>(text_.size()));
    text_ += is_file ? 'f' : '?';
    text_ += name;
    text_ += '\0';
  }
  void sort() {
    std::sort(begins_.begin(), begins_.end(), [&](std::uint32_t a, std::uint32_t b) {
      return std::strcmp(text_.data() + a + 1, text_.data() + b + 1) < 0;
    });
  }
  // 32 bits of text are enough for some hundred million names.
  bool is_full() const noexcept { return text_.size() > UINT32_MAX - 4096; }
  std::size_t size() const noexcept { return begins_.size(); }
  std::string_view name(std::size_t i) const { return text_.data() + begins_[i] + 1; }
  bool is_file(std::size_t i) const { return is_file(text_.data() + begins_[i]); }
  // Its kind, the name, and a zero byte: as is_file() below takes it.
  std::string_view entry(std::size_t i) const {
    const char* const begin = text_.data() + begins_[i];
    return {begin, std::strlen(begin) + 1};
  }
  static bool is_file(const char* entry) { return *entry == 'f'; }

 private:
  std::string text_;
  std::vector<std::uint32_t> begins_;
};

}  // namespace recover::backup
