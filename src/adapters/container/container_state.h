// What a container is doing, from the engine's description of it to one verdict. Pure.
//
// The words are those of the Docker Engine API (GET /containers/{id}/json).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/event.h"

namespace recover::adapters::container {

struct ContainerFacts {
  std::string id;
  std::string name;        // Without the leading slash.
  std::string status;      // created, running, paused, restarting, removing, exited, dead
  std::string health;      // none, starting, healthy, unhealthy; empty: no check.
  std::string health_log;  // What the last check printed.
  std::string started_at;
  std::string restart_policy;  // no, always, unless-stopped, on-failure
  std::string error;           // Why it could not start.
  std::int64_t pid = 0;
  int exit_code = 0;
  bool oom_killed = false;
  std::uint64_t restart_count = 0;
  std::uint64_t restarts_max = 0;  // Of on-failure; 0: no end.
};

// None: not such a description.
std::optional<ContainerFacts> parse_container(std::string_view json);
// The ids in the answer of GET /containers/json, ordered by the container's number, then name.
std::vector<std::string> parse_ids(std::string_view json);
// One line of GET /events.
struct EngineEvent {
  std::string id;
  std::string action;  // start, die, stop, kill, destroy, health_status: healthy, …
  std::string name;
  std::string signal;  // Of a kill.
  std::string compose_service;
  std::string compose_project;
};
std::optional<EngineEvent> parse_event(std::string_view json);
// {"message": "…"} of a refusal; else the text itself, cut.
std::string parse_message(std::string_view body);

struct ContainerReport {
  core::OwnerVerdict verdict = core::OwnerVerdict::Lost;
  std::int64_t pid = 0;
  int code = -1;
  int signal = 0;
  Duration within{};
  std::string detail;
  std::string run;  // Tells one run of it from the next.
  friend bool operator==(const ContainerReport&, const ContainerReport&) = default;
};

// `stop_asked`: somebody told the engine to stop it since it last started. `ran`: we saw it run.
ContainerReport judge(const ContainerFacts& facts, bool stop_asked, bool ran);

}  // namespace recover::adapters::container
