// Why a recovery went as it did: one ordered chain from the first symptom to the verdict.
//
// Built from what the engine remembers and from the journal; for a recovery the engine has
// forgotten, from the journal alone. Refuses to conclude anything itself: each row was recorded.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <recover/result.h>

#include "api/backend.h"
#include "api/request.h"

namespace recover::api {

struct ExplanationRow {
  Instant at;                // Order within a run of the machine.
  std::int64_t wall_ns = 0;  // For people.
  // symptom incident reason gate request approval checkpoint step validation rollback event verdict
  std::string kind;
  std::string text;
  std::string rule;     // Empty: none.
  std::string verdict;  // Empty: none.
};

struct Explanation {
  std::string recovery;
  std::string incident;
  std::string service;
  std::string playbook;
  std::string state;
  std::string summary;  // One or two sentences.
  std::string next;     // What the reader should do now.
  bool from_journal = false;
  std::vector<ExplanationRow> chain;
};

// At most this many journal rows of one recovery and of its incident are read.
inline constexpr std::size_t kExplainEntriesMax = 1'000;

// Error: the 404 (or 500, of a journal that cannot be read) to answer.
Result<Explanation, Response> explain(const Backend& backend, core::RecoveryId id);
boost::json::object explanation_json(const Explanation& explanation);

}  // namespace recover::api
