#include "report.h"

#include <ostream>

namespace recover::conformance {

void Report::ok(const std::string& id) {
  ++ok_;
  out_ << id << " ok\n";
}

void Report::failed(const std::string& id, const std::string& why) {
  ++failed_;
  out_ << id << " FAIL: " << why << '\n';
}

void Report::skipped(const std::string& id, const std::string& why) {
  ++skipped_;
  out_ << id << " skip: " << why << '\n';
}

void Report::close() {
  out_ << ok_ << " ok, " << failed_ << " failed, " << skipped_ << " skipped\n";
}

}  // namespace recover::conformance
