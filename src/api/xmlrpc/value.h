// A value of XML-RPC as a plain value, and what a call ends with.
//
// Only what supervisord's API uses: no dates, no nil; base64 is read as the string it holds.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <recover/result.h>

namespace recover::api::xmlrpc {

struct Value;
using Array = std::vector<Value>;
using Struct = std::vector<std::pair<std::string, Value>>;  // In the order given.

struct Value {
  std::variant<std::int64_t, bool, double, std::string, Array, Struct> is = std::int64_t{0};

  Value() = default;
  Value(std::int64_t number) : is(number) {}        // NOLINT(google-explicit-constructor)
  Value(int number) : is(std::int64_t{number}) {}   // NOLINT(google-explicit-constructor)
  Value(bool flag) : is(flag) {}                    // NOLINT(google-explicit-constructor)
  Value(double number) : is(number) {}              // NOLINT(google-explicit-constructor)
  Value(std::string text) : is(std::move(text)) {}  // NOLINT(google-explicit-constructor)
  Value(std::string_view text)                      // NOLINT(google-explicit-constructor)
      : is(std::string(text)) {}
  Value(const char* text) : is(std::string(text)) {}  // NOLINT(google-explicit-constructor)
  Value(Array items) : is(std::move(items)) {}        // NOLINT(google-explicit-constructor)
  Value(Struct members) : is(std::move(members)) {}   // NOLINT(google-explicit-constructor)

  // Null: it is no such thing.
  const std::string* text() const noexcept { return std::get_if<std::string>(&is); }
  const Array* items() const noexcept { return std::get_if<Array>(&is); }
  const Value* member(std::string_view name) const noexcept;
};

// As supervisord numbers them; clients tell them apart by the number.
enum class Code : std::int16_t {
  Forbidden = 0,  // Ours: an HTTP status to the client, never a fault of its own.
  UnknownMethod = 1,
  IncorrectParameters = 2,
  BadArguments = 3,
  SignatureUnsupported = 4,
  ShutdownState = 6,
  BadName = 10,
  BadSignal = 11,
  NoFile = 20,
  NotExecutable = 21,
  Failed = 30,
  AbnormalTermination = 40,
  SpawnError = 50,
  AlreadyStarted = 60,
  NotRunning = 70,
  Success = 80,
  AlreadyAdded = 90,
  StillRunning = 91,
  CantReread = 92,
};
std::string_view to_string(Code code) noexcept;  // "BAD_NAME"

struct Fault {
  Code code = Code::Failed;
  std::string text;  // "BAD_NAME: web"
};
// The text is the code's name and, after a colon, `detail` if there is any.
Fault fault(Code code, std::string_view detail = {});

using Outcome = Result<Value, Fault>;
// Asked again and again until it is there: nothing yet, or how the call ended.
using Later = std::function<std::optional<Outcome>()>;
using Answer = std::variant<Outcome, Later>;

inline Answer done(Value value) {
  return Outcome(std::move(value));
}
inline Answer failed(Code code, std::string_view detail = {}) {
  return Outcome(Unexpected<Fault>(fault(code, detail)));
}

}  // namespace recover::api::xmlrpc
