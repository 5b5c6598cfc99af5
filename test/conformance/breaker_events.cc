#include "breaker_events.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>

#include "report.h"

namespace recover::conformance {
namespace {

using circuitbreaker::Cause;
using circuitbreaker::Counts;
using circuitbreaker::Event;
using circuitbreaker::State;

std::string bare(std::string_view text) {
  std::string letters;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0) letters.push_back(static_cast<char>(std::tolower(byte)));
  }
  return letters;
}

bool starts_with(const std::string& text, const std::string& prefix) {
  return text.compare(0, prefix.size(), prefix) == 0;
}

std::string expected_name(const Json& expected) {
  if (expected.is_string()) return bare(expected.get<std::string>());
  if (!expected.is_object()) throw Failed("expect.events: neither a string nor an object");
  Fields fields(expected, "expect.events");
  if (fields.has("from")) return bare(fields.text("from") + "to" + fields.text("to"));
  for (const char* key : {"to", "type", "kind", "event", "name"}) {
    if (fields.has(key)) return bare(fields.text(key));
  }
  throw Failed("expect.events: an object without a name");
}

bool is_transition(const std::string& name, const Event& event) {
  std::string rest = name;
  for (const char* prefix : {"statetransition", "transition", "on"}) {
    if (!starts_with(rest, prefix)) continue;
    rest = rest.substr(std::string(prefix).size());
    if (rest.empty()) return true;
    break;
  }
  const std::string from = bare(to_string(event.from));
  const auto names = [&](const std::string& to) {
    return rest == to || rest == to + "ed" || rest == "to" + to || rest == from + to ||
           rest == from + "to" + to;
  };
  if (event.to == State::ForcedOpen && names("isolated")) return true;
  return names(bare(to_string(event.to)));
}

bool matches(const std::string& name, const Event& event) {
  switch (event.kind) {
    case Event::Kind::StateTransition: return is_transition(name, event);
    case Event::Kind::FailureRateExceeded: return starts_with(name, "failurerate");
    case Event::Kind::SlowCallRateExceeded:
      return starts_with(name, "slowcallrate") || starts_with(name, "slowrate");
    case Event::Kind::Reset: return name == "reset";
  }
  return false;
}

std::vector<Event> thresholds_of(const Event& trip, const CircuitBreakerConfig& config,
                                 const Counts& counts) {
  std::vector<Event> thresholds;
  if (trip.cause == Cause::FailureRate) {
    thresholds.push_back({.kind = Event::Kind::FailureRateExceeded, .cause = trip.cause});
  }
  if (config.slow_call_duration_threshold > Duration::zero() &&
      config.slow_call_rate_threshold.reached_by(counts.slow, counts.total)) {
    thresholds.push_back({.kind = Event::Kind::SlowCallRateExceeded, .cause = trip.cause});
  }
  return thresholds;
}

bool is_rate_trip(const Event& event) {
  return event.from == State::Closed && event.to == State::Open &&
         (event.cause == Cause::FailureRate || event.cause == Cause::SlowCallRate);
}

bool mentions(const std::vector<std::string>& names, const char* prefix) {
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return starts_with(name, prefix); });
}

}  // namespace

bool events_match(const Json& expected, const std::vector<Event>& events,
                  bool thresholds_precede_trips, const CircuitBreakerConfig& config,
                  const Counts& counts) {
  if (!expected.is_array()) throw Failed("expect.events: not an array");
  std::vector<std::string> names;
  for (const Json& item : expected) names.push_back(expected_name(item));
  const bool thresholds =
      thresholds_precede_trips || mentions(names, "failurerate") || mentions(names, "slow");
  std::vector<Event> emitted;
  for (const Event& event : events) {
    if (event.kind == Event::Kind::Reset && !mentions(names, "reset")) continue;
    std::vector<Event> before;
    if (thresholds && is_rate_trip(event)) before = thresholds_of(event, config, counts);
    emitted.insert(emitted.end(), before.begin(), before.end());
    emitted.push_back(event);
  }
  return std::equal(names.begin(), names.end(), emitted.begin(), emitted.end(), matches);
}

std::string describe(const std::vector<Event>& events) {
  std::string text = "[";
  for (const Event& event : events) {
    if (text.size() > 1) text += ", ";
    switch (event.kind) {
      case Event::Kind::StateTransition:
        text.append(to_string(event.from)).append("_to_").append(to_string(event.to));
        text.append(" (").append(to_string(event.cause)).append(")");
        break;
      case Event::Kind::FailureRateExceeded: text += "failure_rate_exceeded"; break;
      case Event::Kind::SlowCallRateExceeded: text += "slow_call_rate_exceeded"; break;
      case Event::Kind::Reset: text += "reset"; break;
    }
  }
  return text + "]";
}

}  // namespace recover::conformance
