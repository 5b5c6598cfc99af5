// Tells a webhook; without one there is nothing to do here, as the runtime logs every notice.
#include <nlohmann/json.hpp>

#include <utility>

#include "adapters/command/effectors.h"
#include "adapters/command/http_requests.h"

namespace recover::adapters::command {
namespace {

using core::CommandOutcome;

class NotifyEffector final : public ports::Effector {
 public:
  explicit NotifyEffector(const Tools& tools) : tools_(tools), requests_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const auto end = [&](CommandOutcome outcome, std::string detail) {
      report(tools_.loop, std::move(done),
             {.command = command.id,
              .outcome = outcome,
              .detail = std::move(detail),
              .checkpoint = {}});
    };
    const auto* action = std::get_if<core::NotifyAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->webhook.empty()) return end(CommandOutcome::Done, "logged");
    std::optional<base::Url> url = base::Url::parse(action->webhook.reveal());
    if (!url) return end(CommandOutcome::Refused, "the webhook is not an http URL");
    if (command.settle) {
      return end(CommandOutcome::Unknown, "it may have been sent before the crash");
    }
    HttpRequest request{.url = *std::move(url),
                        .headers = {{"Content-Type", "application/json"},
                                    {"Idempotency-Key", idempotency_key(command)}},
                        .body = body_of(command, policy, *action),
                        .limit = time_left(command, tools_.now())};
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
