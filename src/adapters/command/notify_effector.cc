// Tells a webhook; without one there is nothing to do here, as the runtime logs every notice.
#include <nlohmann/json.hpp>

#include <utility>

#include "adapters/command/effectors.h"
#include "adapters/command/http_requests.h"

namespace recover::adapters::command {
namespace {

using clients::HttpRequest;
using effects::Outcome;

class NotifyEffector final : public ports::Effector {
 public:
  explicit NotifyEffector(const Tools& tools) : tools_(tools), requests_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const auto end = [&](Outcome outcome) {
      effects::report(tools_, done, command.id, std::move(outcome));
    };
    const auto* action = std::get_if<core::NotifyAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->webhook.empty()) return end({.detail = "logged"});
    std::optional<base::Url> url = base::Url::parse(action->webhook.reveal());
    if (!url) return end(effects::refused("the webhook is not an http URL"));
    if (command.settle) return end(effects::settled());
    HttpRequest request{.url = *std::move(url),
                        .headers = {{"Content-Type", "application/json"},
                                    {"Idempotency-Key", effects::idempotency_key(command)}},
                        .body = body_of(command, policy, *action),
                        .limit = effects::time_left(command, tools_)};
    // A webhook's path is often its secret ("/services/T0/B0/…").
    std::vector<std::string> secrets = request.url.secrets();
    secrets.push_back(request.url.target);
    requests_.send(command.id, std::move(request), {}, std::move(secrets), std::move(done));
  }
  void cancel(core::CommandId command) override { requests_.cancel(command); }

 private:
  static std::string body_of(const core::Command& command, const core::Policy& policy,
                             const core::NotifyAction& action) {
    const nlohmann::json body = {
        {"type", "recovery:notify"},
        {"service", policy.service(command.service).name},
        {"recovery", command.recovery.value},
        {"text", command.text.empty() ? action.message : command.text},
    };
    return body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  Tools tools_;
  HttpRequests requests_;
};

}  // namespace

std::unique_ptr<ports::Effector> make_notify(const Tools& tools) {
  return std::make_unique<NotifyEffector>(tools);
}

}  // namespace recover::adapters::command
