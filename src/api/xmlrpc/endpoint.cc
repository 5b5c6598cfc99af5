#include "api/xmlrpc/endpoint.h"

#include <algorithm>
#include <exception>
#include <memory>

#include "api/xmlrpc/methods.h"

namespace recover::api::xmlrpc {
namespace {

constexpr std::string_view kMulticall = "system.multicall";

// Data, however long.  NOLINTNEXTLINE(readability-function-size)
std::vector<MethodRow> table() {
  using R = Role;
  return {
      {"supervisor.addProcessGroup",
       R::Admin,
       {"boolean", "string"},
       0,
       "Takes over what the configuration file says of a service that is new or changed.",
       add_process_group},
      {"supervisor.clearAllProcessLogs",
       R::Operator,
       {"array"},
       0,
       "Empties what every process printed.",
       clear_all_process_logs},
      {"supervisor.clearLog",
       R::Admin,
       {"boolean"},
       0,
       "Fails: the journal is an audit trail.",
       clear_log},
      {"supervisor.clearProcessLog",
       R::Operator,
       {"boolean", "string"},
       0,
       "Empties what a process printed.",
       clear_process_logs},
      {"supervisor.clearProcessLogs",
       R::Operator,
       {"boolean", "string"},
       0,
       "Empties what a process printed.",
       clear_process_logs},
      {"supervisor.getAPIVersion",
       R::Viewer,
       {"string"},
       0,
       "Version of this API.",
       get_api_version},
      {"supervisor.getAllConfigInfo",
       R::Viewer,
       {"array"},
       0,
       "How every process is configured.",
       get_all_config_info},
      {"supervisor.getAllProcessInfo",
       R::Viewer,
       {"array"},
       0,
       "How every process is.",
       get_all_process_info},
      {"supervisor.getIdentification",
       R::Viewer,
       {"string"},
       0,
       "Who answers: recoverd.",
       get_identification},
      {"supervisor.getPID", R::Viewer, {"int"}, 0, "The pid of recoverd.", get_pid},
      {"supervisor.getProcessInfo",
       R::Viewer,
       {"struct", "string"},
       0,
       "How a process is.",
       get_process_info},
      {"supervisor.getState",
       R::Viewer,
       {"struct"},
       0,
       "How recoverd is: statecode and statename.",
       get_state},
      {"supervisor.getSupervisorVersion",
       R::Viewer,
       {"string"},
       0,
       "The supervisord whose API this is, then the version of recoverd.",
       get_supervisor_version},
      {"supervisor.getVersion", R::Viewer, {"string"}, 0, "Version of this API.", get_api_version},
      {"supervisor.readLog",
       R::Operator,
       {"string", "int", "int"},
       0,
       "Bytes of the latest events: offset (negative: from the end), length (0: all).",
       read_log},
      {"supervisor.readMainLog", R::Operator, {"string", "int", "int"}, 0, "As readLog.", read_log},
      {"supervisor.readProcessLog",
       R::Operator,
       {"string", "string", "int", "int"},
       0,
       "As readProcessStdoutLog.",
       read_process_stdout_log},
      {"supervisor.readProcessStderrLog",
       R::Operator,
       {"string", "string", "int", "int"},
       0,
       "As readProcessStdoutLog; no such file where both outputs are one log.",
       read_process_stderr_log},
      {"supervisor.readProcessStdoutLog",
       R::Operator,
       {"string", "string", "int", "int"},
       0,
       "Bytes of what a process printed: name, offset (negative: from the end), length (0: all).",
       read_process_stdout_log},
      {"supervisor.reloadConfig",
       R::Admin,
       {"array"},
       0,
       "Reads the configuration file: [[added, changed, removed]] services.",
       reload_config},
      {"supervisor.removeProcessGroup",
       R::Admin,
       {"boolean", "string"},
       0,
       "Drops a stopped service that has left the configuration file.",
       remove_process_group},
      {"supervisor.restart",
       R::Admin,
       {"boolean"},
       0,
       "Takes over the configuration file; only what it changes restarts.",
       restart},
      {"supervisor.sendProcessStdin",
       R::Operator,
       {"boolean", "string", "string"},
       0,
       "No such file: services read from nothing.",
       send_process_stdin},
      {"supervisor.sendRemoteCommEvent",
       R::Operator,
       {"boolean", "string", "string"},
       0,
       "Notes a type and a text in the journal.",
       send_remote_comm_event},
      {"supervisor.shutdown",
       R::Admin,
       {"boolean"},
       0,
       "Stops all services and recoverd.",
       shutdown},
      {"supervisor.signalAllProcesses",
       R::Operator,
       {"array", "string"},
       0,
       "Sends a signal, by name or number, to every process.",
       signal_all_processes},
      {"supervisor.signalProcess",
       R::Operator,
       {"boolean", "string", "string"},
       0,
       "Sends a signal to a process: name, signal.",
       signal_process},
      {"supervisor.signalProcessGroup",
       R::Operator,
       {"array", "string", "string"},
       0,
       "Sends a signal to every process of a service: name, signal.",
       signal_process_group},
      {"supervisor.startAllProcesses",
       R::Operator,
       {"array", "boolean"},
       1,
       "Starts what does not run, dependencies first; waits unless told not to.",
       start_all_processes},
      {"supervisor.startProcess",
       R::Operator,
       {"boolean", "string", "boolean"},
       1,
       "Starts a service; waits until it is well unless told not to.",
       start_process},
      {"supervisor.startProcessGroup",
       R::Operator,
       {"array", "string", "boolean"},
       1,
       "Starts every process of a service.",
       start_process_group},
      {"supervisor.stopAllProcesses",
       R::Operator,
       {"array", "boolean"},
       1,
       "Stops what runs, dependents first; waits unless told not to.",
       stop_all_processes},
      {"supervisor.stopProcess",
       R::Operator,
       {"boolean", "string", "boolean"},
       1,
       "Stops a service; waits until nothing of it is left unless told not to.",
       stop_process},
      {"supervisor.stopProcessGroup",
       R::Operator,
       {"array", "string", "boolean"},
       1,
       "Stops every process of a service.",
       stop_process_group},
      {"supervisor.tailProcessLog",
       R::Operator,
       {"array", "string", "int", "int"},
       0,
       "As tailProcessStdoutLog.",
       tail_process_stdout_log},
      {"supervisor.tailProcessStderrLog",
       R::Operator,
       {"array", "string", "int", "int"},
       0,
       "As tailProcessStdoutLog; empty where both outputs are one log.",
       tail_process_stderr_log},
      {"supervisor.tailProcessStdoutLog",
       R::Operator,
       {"array", "string", "int", "int"},
       0,
       "The end of what a process printed since offset: [bytes, offset, overflow].",
       tail_process_stdout_log},
      {"system.listMethods", R::Viewer, {"array"}, 0, "The names of all methods.", list_methods},
      {"system.methodHelp", R::Viewer, {"string", "string"}, 0, "What a method does.", method_help},
      {"system.methodSignature",
       R::Viewer,
       {"array", "string"},
       0,
       "What a method returns, then its parameters.",
       method_signature},
      {kMulticall,
       R::Viewer,
       {"array", "array"},
       0,
       "Makes several calls: structs of methodName and params.",
       nullptr},
  };
}

bool fits(const Value& value, std::string_view type) {
  if (type == "int") return std::holds_alternative<std::int64_t>(value.is);
  if (type == "string") return value.text() != nullptr;
  if (type == "boolean") {
    return std::holds_alternative<bool>(value.is) || std::holds_alternative<std::int64_t>(value.is);
  }
  return type == "array" && value.items() != nullptr;
}

bool fits(const MethodRow& row, const Array& parameters) {
  const std::size_t most = row.signature.size() - 1;
  if (parameters.size() > most || parameters.size() + row.optional < most) return false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    // A signal may be given as a number.
    const bool number_too =
        row.name.starts_with("supervisor.signal") && i + 1 == most && fits(parameters[i], "int");
    if (!number_too && !fits(parameters[i], row.signature[i + 1])) return false;
  }
  return true;
}

Value fault_value(const Fault& fault) {
  const Code code = fault.code == Code::Forbidden ? Code::Failed : fault.code;
  return Struct{{"faultCode", static_cast<int>(code)}, {"faultString", fault.text}};
}

Value result_value(Outcome outcome) {
  return outcome ? std::move(*outcome) : fault_value(outcome.error());
}

}  // namespace

std::span<const MethodRow> methods() {
  static const std::vector<MethodRow> kMethods = table();
  return kMethods;
}

const MethodRow* find_method(std::string_view name) {
  const auto rows = methods();
  const auto found = std::ranges::find(rows, name, &MethodRow::name);
  return found == rows.end() ? nullptr : &*found;
}

const std::string& Asked::text(std::size_t index) const {
  static const std::string kNone;
  const std::string* text = index < parameters.size() ? parameters[index].text() : nullptr;
  return text != nullptr ? *text : kNone;
}
std::int64_t Asked::number(std::size_t index) const {
  const auto* number =
      index < parameters.size() ? std::get_if<std::int64_t>(&parameters[index].is) : nullptr;
  return number != nullptr ? *number : 0;
}
bool Asked::flag(std::size_t index, bool fallback) const {
  if (index >= parameters.size()) return fallback;
  const auto* flag = std::get_if<bool>(&parameters[index].is);
  return flag != nullptr ? *flag : number(index) != 0;
}

Answer Endpoint::call(const Caller& caller, std::string_view method, const Array& parameters) {
  const MethodRow* row = find_method(method);
  if (row == nullptr) return failed(Code::UnknownMethod, method);
  if (caller.role < row->role) {
    return failed(Code::Forbidden, std::string("this needs the role ")
                                       .append(api::to_string(row->role))
                                       .append(": run it as root, or give the password"));
  }
  if (!fits(*row, parameters)) return failed(Code::IncorrectParameters, method);
  if (stopping_ && method.starts_with("supervisor.")) return failed(Code::ShutdownState);
  try {
    if (row->method == nullptr) return multicall(caller, parameters);
    return row->method({*this, caller, parameters});
  } catch (const std::exception&) {
    return failed(Code::Failed, "recoverd could not answer this; its log may say more");
  }
}

// One call after the other, each once the one before has ended.
namespace {

// Bytes of all answers of one request together, about; and of those made in one turn of the loop.
constexpr std::size_t kMulticallWeightMax = 16U << 20U;
constexpr std::size_t kMulticallWeightATurn = 1U << 20U;

// As deep as answers are nested.  NOLINTNEXTLINE(misc-no-recursion)
std::size_t weight_of(const Value& value) {
  std::size_t sum = sizeof(Value);
  if (value.text() != nullptr) sum += value.text()->size();
  if (value.items() != nullptr) {
    for (const Value& each : *value.items()) sum += weight_of(each);
  }
  if (const auto* members = std::get_if<Struct>(&value.is)) {
    for (const auto& [name, each] : *members) sum += name.size() + weight_of(each);
  }
  return sum;
}

}  // namespace

Answer Endpoint::multicall(const Caller& caller, const Array& parameters) {
  struct Progress {
    Array calls;
    Array results = {};
    Later waiting = {};
    std::size_t weight = 0;
  };
  auto progress = std::make_shared<Progress>(Progress{.calls = *parameters.front().items()});
  if (progress->calls.size() > kCallsMax) {
    return failed(Code::IncorrectParameters, "at most 1000 calls at once");
  }
  const auto begin = [this, caller](const Value& call) -> Answer {
    const Value* name = call.member("methodName");
    const Value* given = call.member("params");
    if (name == nullptr || name->text() == nullptr) {
      return failed(Code::IncorrectParameters, "No methodName");
    }
    if (*name->text() == kMulticall) {
      return failed(Code::IncorrectParameters, "Recursive system.multicall forbidden");
    }
    if (given != nullptr && given->items() == nullptr) return failed(Code::IncorrectParameters);
    return this->call(caller, *name->text(), given != nullptr ? *given->items() : Array());
  };
  return Later([progress, begin]() -> std::optional<Outcome> {
    const std::size_t before = progress->weight;
    const auto add = [&](Outcome outcome) {
      progress->results.push_back(result_value(std::move(outcome)));
      progress->weight += weight_of(progress->results.back());
    };
    while (progress->results.size() < progress->calls.size()) {
      if (progress->weight > kMulticallWeightMax) {
        return Outcome(Unexpected<Fault>(
            fault(Code::Failed, "the answers are too long together: ask for less at once")));
      }
      if (progress->weight - before > kMulticallWeightATurn) return std::nullopt;
      if (!progress->waiting) {
        Answer answer = begin(progress->calls[progress->results.size()]);
        if (auto* outcome = std::get_if<Outcome>(&answer)) {
          add(std::move(*outcome));
          continue;
        }
        progress->waiting = std::get<Later>(std::move(answer));
      }
      auto outcome = progress->waiting();
      if (!outcome) return std::nullopt;
      progress->waiting = nullptr;
      add(std::move(*outcome));
    }
    return Outcome(Value(std::move(progress->results)));
  });
}

// ---- about the methods

Answer list_methods(const Asked& /*asked*/) {
  Array names;
  for (const MethodRow& row : methods()) names.emplace_back(row.name);
  return done(std::move(names));
}

Answer method_help(const Asked& asked) {
  const MethodRow* row = find_method(asked.text(0));
  if (row == nullptr) return failed(Code::SignatureUnsupported);
  return done(row->help);
}

Answer method_signature(const Asked& asked) {
  const MethodRow* row = find_method(asked.text(0));
  if (row == nullptr) return failed(Code::SignatureUnsupported);
  Array types;
  for (const std::string_view type : row->signature) types.emplace_back(type);
  return done(std::move(types));
}

}  // namespace recover::api::xmlrpc
