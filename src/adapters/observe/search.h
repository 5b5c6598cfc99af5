// Finds the one process that an `observe:` service means.
//
// Reads /proc and nothing else. Of several that match it takes the one whose parent does not match
// (a server, not its workers), and of those the oldest.
#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>

#include "core/policy.h"

namespace recover::adapters::observe {

class Search {
 public:
  explicit Search(const core::ObserveSpec& spec);
  ~Search();
  Search(const Search&) = delete;
  Search& operator=(const Search&) = delete;

  // None: there is none. A pid file that does not hold the pid of a matching process finds none.
  std::optional<pid_t> find() const;

 private:
  struct Patterns;
  std::optional<pid_t> from_pid_file() const;

  std::string pid_file_;
  std::unique_ptr<Patterns> patterns_;
};

}  // namespace recover::adapters::observe
