// Processes: how they are, start, stop, signal.
#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "api/foresight.h"
#include "api/xmlrpc/job.h"
#include "api/xmlrpc/methods.h"

namespace recover::api::xmlrpc {
namespace {

constexpr std::size_t kAnswersMax = 10'000;

struct SignalNumber {
  std::string_view name;
  int number = 0;
};
// Of Linux; what is left is given as a number.
constexpr std::array<SignalNumber, 18> kSignals = {{{"HUP", 1},
                                                    {"INT", 2},
                                                    {"QUIT", 3},
                                                    {"ABRT", 6},
                                                    {"KILL", 9},
                                                    {"USR1", 10},
                                                    {"SEGV", 11},
                                                    {"USR2", 12},
                                                    {"PIPE", 13},
                                                    {"ALRM", 14},
                                                    {"TERM", 15},
                                                    {"CHLD", 17},
                                                    {"CONT", 18},
                                                    {"STOP", 19},
                                                    {"TSTP", 20},
                                                    {"TTIN", 21},
                                                    {"TTOU", 22},
                                                    {"WINCH", 28}}};

std::optional<int> signal_in(const Asked& asked, std::size_t index) {
  std::string text = asked.text(index);
  if (text.empty()) text = std::to_string(asked.number(index));
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  std::string_view name = text;
  if (name.starts_with("SIG")) name.remove_prefix(3);
  const auto found = std::ranges::find(kSignals, name, &SignalNumber::name);
  if (found != kSignals.end()) return found->number;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole && number >= 1 && number <= core::kSignalNumberMax ? std::optional(number)
                                                                  : std::nullopt;
}

Value status(const Process& process, const std::optional<Fault>& fault) {
  return Struct{{"name", process.name},
                {"group", process.group},
                {"status", static_cast<int>(fault ? fault->code : Code::Success)},
                {"description", fault ? fault->text : std::string("OK")}};
}

bool wanted(Job::Kind kind, ProcessState state) {
  return is_running(state) == (kind == Job::Kind::Stop);
}

// Many at once: an array of how each went.
Answer all(const Asked& asked, Job::Kind kind, const std::vector<Process>& among, bool wait) {
  std::vector<Process> chosen;
  for (const Process& process : among) {
    if (wanted(kind, state_of(asked.engine(), process))) chosen.push_back(process);
  }
  if (chosen.empty()) return done(Array());
  chosen.resize(std::min(chosen.size(), kAnswersMax));
  auto job =
      std::make_shared<Job>(asked.backend(), kind, asked.caller.actor, std::move(chosen), wait);
  return Later([job]() -> std::optional<Outcome> {
    const auto verdicts = job->poll();
    if (!verdicts) return std::nullopt;
    Array statuses;
    for (const Job::Verdict& verdict : *verdicts) {
      statuses.push_back(status(verdict.process, verdict.fault));
    }
    return Outcome(Value(std::move(statuses)));
  });
}

Answer one(const Asked& asked, Job::Kind kind, std::vector<Process> processes, bool wait,
           bool alone) {
  auto job = std::make_shared<Job>(asked.backend(), kind, asked.caller.actor, std::move(processes),
                                   wait, alone);
  return Later([job]() -> std::optional<Outcome> {
    const auto verdicts = job->poll();
    if (!verdicts) return std::nullopt;
    for (const Job::Verdict& verdict : *verdicts) {
      if (verdict.fault) return Outcome(Unexpected<Fault>(*verdict.fault));
    }
    return Outcome(Value(true));
  });
}

// `update` would stop, drop and add what the reload has restarted already.
bool restarted_already(const Asked& asked, const std::string& group) {
  const Endpoint::Changes& changes = asked.endpoint.changes;
  return changes.taken && changes.changed.contains(group);
}

Answer group(const Asked& asked, Job::Kind kind) {
  const std::string& name = asked.text(0);
  const auto service = asked.engine().policy().find_service(name);
  if (!service) return failed(Code::BadName, name);
  if (restarted_already(asked, name)) return done(Array());
  return all(asked, kind, processes_of(asked.engine(), *service), asked.flag(1, true));
}

bool is_ours(const core::Engine& engine, const Process& process) {
  return kind_of(engine.policy().service(process.service).spec) == core::ServiceKind::Run;
}

// One by name: of several instances that one alone, of somebody else's all.
Answer named(const Asked& asked, Job::Kind kind) {
  const std::string& name = asked.text(0);
  const auto found = find_process(asked.engine(), name);
  if (!found) return failed(Code::BadName, name);
  const auto processes = processes_of(asked.engine(), found->service);
  const bool wait = asked.flag(1, true);
  if (!found->process && name.find(':') != std::string::npos) {
    return all(asked, kind, processes, wait);
  }
  const auto is_due = [&](const Process& process) {
    return wanted(kind, state_of(asked.engine(), process));
  };
  const bool due =
      found->process ? is_due(*found->process) : std::ranges::any_of(processes, is_due);
  if (!due) {
    return failed(kind == Job::Kind::Start ? Code::AlreadyStarted : Code::NotRunning, name);
  }
  if (found->process && processes.size() > 1 && is_ours(asked.engine(), *found->process)) {
    return one(asked, kind, {*found->process}, wait, true);
  }
  return one(asked, kind, found->process ? std::vector{*found->process} : processes, wait, false);
}

// Nothing: it was asked for.
std::optional<Fault> send(const Asked& asked, const Process& process, int number) {
  const ProcessState state = state_of(asked.engine(), process);
  if (state != ProcessState::Running && state != ProcessState::Starting &&
      state != ProcessState::Stopping) {
    return fault(Code::NotRunning, process.group);
  }
  const core::Event event = core::OperatorService{.service = process.service,
                                                  .request = core::ServiceRequest::Signal,
                                                  .actor = asked.caller.actor,
                                                  .instances = 0,
                                                  .signal = number,
                                                  .instance = process.instance};
  const Foresight foresight = foresee(asked.backend(), event);
  asked.backend().post(event);
  const core::Reason* reason = foresight.refused();
  if (reason == nullptr) return std::nullopt;
  return fault(Code::Failed, process.group + ": " + reason->detail);
}

// What is left of a signal to several: a service takes one request at a time.
struct Signals {
  Endpoint* endpoint;
  Caller caller;
  std::vector<Process> processes;
  int number = 0;
  std::size_t next = 0;
  Array statuses = {};

  // True: all were sent.
  bool go_on();
  bool must_wait(const core::Engine& engine) const;
};

bool Signals::must_wait(const core::Engine& engine) const {
  if (next == 0 || next >= processes.size()) return false;
  const core::ServiceIndex service = processes[next].service;
  return processes[next - 1].service == service &&
         engine.state().services.at(service.value).supervision;
}

bool Signals::go_on() {
  constexpr std::size_t kPerPoll = 16;  // Each is tried on a copy of the engine first.
  static const Array kNone;
  const Asked again{*endpoint, caller, kNone};
  for (std::size_t sent = 0; next < processes.size();) {
    const Process process = processes[next];
    // After a reload that renumbered the services nothing more is sent.
    if (again.engine().policy().find_service(process.group) != process.service) return true;
    if (sent >= kPerPoll || must_wait(again.engine())) return false;
    const ProcessState state = state_of(again.engine(), process);
    ++next;
    if (state != ProcessState::Running && state != ProcessState::Starting) continue;
    statuses.push_back(status(process, send(again, process, number)));
    ++sent;
    // The engine hears of it in its next turn.
    if (next < processes.size() && processes[next].service == process.service) return false;
  }
  return true;
}

Answer send_all(const Asked& asked, std::vector<Process> processes, int number) {
  auto signals = std::make_shared<Signals>(
      Signals{&asked.endpoint, asked.caller, std::move(processes), number});
  return Later([signals]() -> std::optional<Outcome> {
    if (!signals->go_on()) return std::nullopt;
    return Outcome(Value(std::move(signals->statuses)));
  });
}

}  // namespace

Answer get_process_info(const Asked& asked) {
  const auto found = find_process(asked.engine(), asked.text(0));
  if (!found || !found->process) return failed(Code::BadName, asked.text(0));
  return done(info_of(asked.backend(), *found->process));
}

Answer get_all_process_info(const Asked& asked) {
  Array infos;
  for (const Process& process : all_processes(asked.engine())) {
    infos.push_back(info_of(asked.backend(), process));
  }
  return done(std::move(infos));
}

Answer start_process(const Asked& asked) {
  return named(asked, Job::Kind::Start);
}
Answer start_process_group(const Asked& asked) {
  return group(asked, Job::Kind::Start);
}
Answer start_all_processes(const Asked& asked) {
  return all(asked, Job::Kind::Start, all_processes(asked.engine()), asked.flag(0, true));
}
Answer stop_process(const Asked& asked) {
  return named(asked, Job::Kind::Stop);
}
Answer stop_process_group(const Asked& asked) {
  return group(asked, Job::Kind::Stop);
}
Answer stop_all_processes(const Asked& asked) {
  return all(asked, Job::Kind::Stop, all_processes(asked.engine()), asked.flag(0, true));
}

Answer signal_process(const Asked& asked) {
  const std::string& name = asked.text(0);
  const auto found = find_process(asked.engine(), name);
  if (!found) return failed(Code::BadName, name);
  const auto number = signal_in(asked, 1);
  if (!number) return failed(Code::BadSignal, asked.text(1));
  if (!found->process) {
    return send_all(asked, processes_of(asked.engine(), found->service), *number);
  }
  if (auto fault = send(asked, *found->process, *number)) {
    return Outcome(Unexpected<Fault>(std::move(*fault)));
  }
  return done(true);
}

Answer signal_process_group(const Asked& asked) {
  const auto service = asked.engine().policy().find_service(asked.text(0));
  if (!service) return failed(Code::BadName, asked.text(0));
  const auto number = signal_in(asked, 1);
  if (!number) return failed(Code::BadSignal, asked.text(1));
  return send_all(asked, processes_of(asked.engine(), *service), *number);
}

Answer signal_all_processes(const Asked& asked) {
  const auto number = signal_in(asked, 0);
  if (!number) return failed(Code::BadSignal, asked.text(0));
  return send_all(asked, all_processes(asked.engine()), *number);
}

Answer send_process_stdin(const Asked& asked) {
  const auto found = find_process(asked.engine(), asked.text(0));
  if (!found || !found->process) return failed(Code::BadName, asked.text(0));
  if (state_of(asked.engine(), *found->process) != ProcessState::Running) {
    return failed(Code::NotRunning, asked.text(0));
  }
  return failed(Code::NoFile, asked.text(0) + ": services read from /dev/null");
}

}  // namespace recover::api::xmlrpc
