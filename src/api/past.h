// What the journal remembers of a recovery: its rows, when something was said, and the whole story
// of one that memory has forgotten.
#pragma once

#include <boost/json/object.hpp>

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "api/backend.h"
#include "api/explain.h"
#include "api/request.h"

namespace recover::api {

using Chain = std::vector<ExplanationRow>;

// When the journal first heard something said of a recovery or an incident: a change of state ends
// with ": " and the reason for it.
class Sayings {
 public:
  void hear(const ports::StoredEntry& row, const boost::json::object& event);
  // kNever: not found there.
  Instant said(const core::Reason& reason) const {
    const auto found = said_.find(reason.detail);
    return found == said_.end() ? kNever : found->second;
  }
  // When it entered that state; kNever: it did not, or the journal no longer knows.
  Instant entered(core::RecoveryState state) const {
    const auto found = entered_.find(std::string(to_string(state)));
    return found == entered_.end() ? kNever : found->second;
  }

 private:
  void say(const std::string& what, Instant at) { said_.emplace(what, at); }
  std::map<std::string, Instant> said_;
  std::map<std::string, Instant> entered_;
};

// The rows of a recovery and of its incident (0: of none), each once, in order.
Result<std::vector<ports::StoredEntry>, Response> entries_of(const Backend& backend,
                                                             std::uint64_t recovery,
                                                             std::uint64_t incident);
// A row of the journal as one of the chain, and its reasons; but what was told already.
void tell_entry(Chain& chain, const ports::StoredEntry& stored, const std::set<std::string>& told);
// All that is left of a recovery that is no longer in memory. Error: 404, or 500 without a journal.
Result<Explanation, Response> from_journal(const Backend& backend, core::RecoveryId id);

}  // namespace recover::api
