#include "caption.h"

namespace flaky {
namespace {

std::string_view while_open(Weather weather) noexcept {
  switch (weather) {
    case Weather::Healthy:
    case Weather::Slow:
    case Weather::Recovering:
      return "The server is back; the breaker lets nobody in until probes have asked.";
    case Weather::Failing:
      return "Breaker open: nobody waits for a 503; replica and cache answer at once.";
    case Weather::Refusing:
      return "Breaker open: nobody knocks at a closed door; replica and cache answer.";
    case Weather::Hanging:
      return "Breaker open: nobody hangs with the server; replica and cache answer at once.";
  }
  return {};
}

std::string_view while_closed(Weather weather) noexcept {
  switch (weather) {
    case Weather::Healthy: return "Fair weather: every answer is fresh, no policy has to act.";
    case Weather::Slow:
      return "The attempt timeout cuts slow answers off; a retry gets a quick one.";
    case Weather::Failing:
      return "Retry-After asks for longer than a user may wait: failover takes the call.";
    case Weather::Refusing: return "Connections are refused: retry, then failover to the replica.";
    case Weather::Hanging:
      return "The attempt timeout frees the users of a server that never answers.";
    case Weather::Recovering: return "Some answers still fail: one retry with jitter hides each.";
  }
  return {};
}

}  // namespace

std::string_view caption_of(const View& view) noexcept {
  if (view.lost_one) return "An answer was lost: no server had it and nothing was remembered.";
  switch (view.breaker.state) {
    case recover::circuitbreaker::State::Open: return while_open(view.outlook.now);
    case recover::circuitbreaker::State::HalfOpen:
      return "Half-open: a few probes test the server; replica and cache serve the rest.";
    case recover::circuitbreaker::State::Closed:
    case recover::circuitbreaker::State::Disabled:
    case recover::circuitbreaker::State::MetricsOnly:
    case recover::circuitbreaker::State::ForcedOpen: break;
  }
  return while_closed(view.outlook.now);
}

}  // namespace flaky
