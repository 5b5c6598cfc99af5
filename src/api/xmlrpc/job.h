// start and stop of several services, asked for in the order of their dependencies, and waited for.
//
// Everything is an operator's event like those of the REST API: the core decides, refuses,
// journals. Polled by whoever waits; holds names, not indices, since a reload may come between.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "api/backend.h"
#include "api/xmlrpc/process.h"

namespace recover::api::xmlrpc {

class Job {
 public:
  enum class Kind : std::uint8_t { Start, Stop };

  // `backend` outlives the job. Nothing is posted before the first poll. The services of the
  // processes are meant as a whole, unless it is `alone`: one process.
  Job(const Backend& backend, Kind kind, std::string actor, std::vector<Process> processes,
      bool wait, bool alone = false);

  // One verdict a process once all are known; in the order given.
  struct Verdict {
    Process process;
    std::optional<Fault> fault;  // None: it went well.
  };
  std::optional<std::vector<Verdict>> poll();

 private:
  struct Part {
    std::string service;
    std::optional<std::uint32_t> instance;  // It is about that one alone.
    std::vector<std::string> after;         // Parts that come first.
    bool posted = false;
    bool over = false;
    std::uint64_t epoch = 0;
    Instant deadline = kNever;
    std::optional<Instant> well_since;
    std::optional<Fault> fault;
  };

  void add(const core::Engine& engine, core::ServiceIndex service);
  void advance(Part& part);
  bool may_begin(const Part& part) const;
  void post(Part& part, core::ServiceIndex service);
  void judge(Part& part, core::ServiceIndex service);
  void judge_start(Part& part, core::ServiceIndex service, bool late);
  void judge_stop(Part& part, core::ServiceIndex service, bool late);
  void end(Part& part, std::optional<Fault> fault = {});

  const Backend& backend_;
  Kind kind_;
  std::string actor_;
  std::vector<Process> processes_;
  bool wait_;
  std::vector<Part> parts_;
  std::size_t posts_left_ = 0;  // Of this poll.
};

}  // namespace recover::api::xmlrpc
