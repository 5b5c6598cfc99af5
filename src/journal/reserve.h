// journal.reserve: space put aside while there is some, so that the journal can go on for a while
// on the full disk that recoverd is about to heal.
#pragma once

#include <cstdint>
#include <string>

namespace recover::journal {

class Reserve {
 public:
  // `bytes` 0: no reserve.
  Reserve(std::string path, std::uint64_t bytes) : path_(std::move(path)), bytes_(bytes) {}

  // Puts the space aside unless it is, or the disk has less than kFreeFactor times as much left.
  void ensure();
  // Gives the space back. False: there was none to give.
  bool release();
  bool held() const { return held_; }

  static constexpr std::uint64_t kFreeFactor = 4;

 private:
  std::string path_;
  std::uint64_t bytes_;
  bool held_ = false;
};

}  // namespace recover::journal
