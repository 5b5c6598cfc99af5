// What the engine is going to say to an operator's event, found by asking a copy of it.
//
// The API knows no safety rule: it runs the real ones on a copy, so a refusal can be answered at
// once and a dry run is the real plan. The copy is thrown away; nothing it asks for is performed.
#pragma once

#include <optional>
#include <vector>

#include "api/backend.h"
#include "core/engine.h"

namespace recover::api {

struct Foresight {
  core::Engine engine;
  core::Output output;

  // The first verdict of a gate or of the operator's rule that says no, if any.
  const core::Reason* refused() const;
  // The recovery of that service the event would start; null when there would be none.
  const core::Recovery* planned(const core::State& before, core::ServiceIndex service) const;
};

Foresight foresee(const Backend& backend, const core::Event& event);

// The reason in `reasons` that refuses (or, if none does, makes wait); null when all pass.
const core::Reason* first_refusal(const std::vector<core::Reason>& reasons);

}  // namespace recover::api
