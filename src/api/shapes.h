// The JSON of CONTRACT.md: engine state and journal entries as the objects users see.
//
// Pure reading; fields may be added, never renamed. Times are RFC 3339 UTC; what there is not is
// null. Include <boost/json.hpp> where these are called.
#pragma once

#include <boost/json/fwd.hpp>

#include <cstdint>
#include <string>

#include "api/backend.h"

namespace recover::api {

// What an engine time is on the wall; null for kNever and for "never yet".
boost::json::value time_json(const Backend& backend, Instant at);

boost::json::object service_json(const Backend& backend, core::ServiceIndex index);
boost::json::object incident_json(const Backend& backend, const core::Incident& incident);
boost::json::object recovery_json(const Backend& backend, const core::Recovery& recovery);
boost::json::object reason_json(const core::Reason& reason);
// The journal's row as an event of the API. Of a Notice, the body's "severity", "actor" and
// "message" are lifted; the rest is `data`.
boost::json::object event_json(const ports::StoredEntry& stored);
boost::json::object checkpoint_json(const ports::CheckpointInfo& info);

// "web", or "web@2" of a service with several instances. `instance` counts from 0.
std::string instance_name(const core::Policy& policy, core::ServiceIndex service,
                          std::size_t instance, std::size_t count);
// What the playbook's author called the step.
std::string step_name(const core::Policy& policy, const core::Recovery& recovery,
                      const core::StepProgress& step);
std::string service_name(const core::Policy& policy, core::ServiceIndex index);
std::string playbook_name(const core::Policy& policy, core::PlaybookIndex index);

std::string_view to_string(core::InstanceState state) noexcept;
std::string_view to_string(ports::EntryKind kind) noexcept;

// Neither running nor waiting for anybody any more.
bool ended(core::RecoveryState state) noexcept;

}  // namespace recover::api
