#include "api/xmlrpc/value.h"

#include <algorithm>

namespace recover::api::xmlrpc {

const Value* Value::member(std::string_view name) const noexcept {
  const auto* members = std::get_if<Struct>(&is);
  if (members == nullptr) return nullptr;
  const auto found = std::find_if(members->begin(), members->end(),
                                  [&](const auto& each) { return each.first == name; });
  return found == members->end() ? nullptr : &found->second;
}

std::string_view to_string(Code code) noexcept {
  switch (code) {
    case Code::Forbidden: return "FORBIDDEN";
    case Code::UnknownMethod: return "UNKNOWN_METHOD";
    case Code::IncorrectParameters: return "INCORRECT_PARAMETERS";
    case Code::BadArguments: return "BAD_ARGUMENTS";
    case Code::SignatureUnsupported: return "SIGNATURE_UNSUPPORTED";
    case Code::ShutdownState: return "SHUTDOWN_STATE";
    case Code::BadName: return "BAD_NAME";
    case Code::BadSignal: return "BAD_SIGNAL";
    case Code::NoFile: return "NO_FILE";
    case Code::NotExecutable: return "NOT_EXECUTABLE";
    case Code::Failed: return "FAILED";
    case Code::AbnormalTermination: return "ABNORMAL_TERMINATION";
    case Code::SpawnError: return "SPAWN_ERROR";
    case Code::AlreadyStarted: return "ALREADY_STARTED";
    case Code::NotRunning: return "NOT_RUNNING";
    case Code::Success: return "SUCCESS";
    case Code::AlreadyAdded: return "ALREADY_ADDED";
    case Code::StillRunning: return "STILL_RUNNING";
    case Code::CantReread: return "CANT_REREAD";
  }
  return "FAILED";
}

Fault fault(Code code, std::string_view detail) {
  std::string text(to_string(code));
  if (!detail.empty()) text.append(": ").append(detail);
  return {code, std::move(text)};
}

}  // namespace recover::api::xmlrpc
