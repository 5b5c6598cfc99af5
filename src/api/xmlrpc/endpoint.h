// The methods of supervisord's API (version 3.0), found by name, checked and carried out.
//
// What a caller's role may not, it does not; what changes anything is an operator's event, or one
// of the Backend's requests with a note of it in the journal. Knows no socket. Loop thread.
#pragma once

#include <cstddef>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"
#include "api/request.h"
#include "api/xmlrpc/process.h"
#include "api/xmlrpc/value.h"

namespace recover::api::xmlrpc {

inline constexpr std::size_t kCallsMax = 1'000;        // Of one multicall.
inline constexpr std::size_t kLogBytesMax = 1U << 20;  // Of one answer.

class Endpoint {
 public:
  // What the backend points to outlives the endpoint.
  explicit Endpoint(Backend backend) : backend_(std::move(backend)) {}

  // A Later is polled before the endpoint goes.
  Answer call(const Caller& caller, std::string_view method, const Array& parameters);

  const Backend& backend() const noexcept { return backend_; }
  // recoverd was told to end.
  bool stopping() const noexcept { return stopping_; }
  void stop() { stopping_ = true; }

  // Between `reread` and `add` or `remove`: what the file would change. One configuration is taken
  // over as a whole, so the first of them takes all of it.
  struct Changes {
    std::set<std::string> added;
    std::set<std::string> changed;
    std::set<std::string> removed;
    bool taken = false;
  };
  Changes changes;

 private:
  Answer multicall(const Caller& caller, const Array& parameters);

  Backend backend_;
  bool stopping_ = false;
};

// What a method is given; the parameters are of the method's types.
struct Asked {
  Endpoint& endpoint;
  const Caller& caller;
  const Array& parameters;

  const Backend& backend() const { return endpoint.backend(); }
  const core::Engine& engine() const { return endpoint.backend().engine(); }
  const std::string& text(std::size_t index) const;
  std::int64_t number(std::size_t index) const;
  bool flag(std::size_t index, bool fallback) const;
};

using Method = Answer (*)(const Asked&);

struct MethodRow {
  std::string_view name;  // "supervisor.getState"
  Role role = Role::Viewer;
  // What it returns, then its parameters: "int", "string", "boolean", "array", "struct".
  std::vector<std::string_view> signature;
  std::size_t optional = 0;  // So many of the last parameters may be left out.
  std::string_view help;
  Method method = nullptr;
};
std::span<const MethodRow> methods();
const MethodRow* find_method(std::string_view name);

}  // namespace recover::api::xmlrpc
