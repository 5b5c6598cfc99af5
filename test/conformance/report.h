// How a vector came out: ok, FAIL or skip. Thrown by whoever finds out, counted and printed here.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <stdexcept>
#include <string>

namespace recover::conformance {

// The library does not do what the vector says, or the vector cannot be understood.
class Failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// The vector asks for something that the library does not offer; the text names it.
class Skipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// One line a vector, "ID ok", "ID FAIL: why" or "ID skip: why", and a closing count.
class Report {
 public:
  explicit Report(std::ostream& out) : out_(out) {}

  void ok(const std::string& id);
  void failed(const std::string& id, const std::string& why);
  void skipped(const std::string& id, const std::string& why);
  void close();

  bool all_held() const { return failed_ == 0; }

 private:
  std::ostream& out_;
  std::size_t ok_ = 0;
  std::size_t failed_ = 0;
  std::size_t skipped_ = 0;
};

}  // namespace recover::conformance
