#include <boost/system/system_error.hpp>

#include <algorithm>
#include <utility>

#include "adapters/command/effectors.h"
#include "adapters/command/http_requests.h"
#include "base/redact.h"

namespace recover::adapters::command {
namespace {

using clients::HttpAnswer;
using clients::HttpExchange;
using clients::HttpRequest;
using core::CommandOutcome;
using effects::Outcome;

Outcome judge(const HttpAnswer& answer, const std::vector<int>& wanted) {
  if (answer.status == 0) {
    return {answer.sent ? CommandOutcome::Unknown : CommandOutcome::Failed, answer.error};
  }
  const bool good = wanted.empty() ? answer.status / 100 == 2
                                   : std::ranges::find(wanted, answer.status) != wanted.end();
  return {good ? CommandOutcome::Done : CommandOutcome::Failed,
          "HTTP " + std::to_string(answer.status)};
}

class HttpEffector final : public ports::Effector {
 public:
  explicit HttpEffector(const Tools& tools) : tools_(tools), requests_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const auto refuse = [&](Outcome outcome) {
      effects::report(tools_, done, command.id, std::move(outcome));
    };
    const auto* action = std::get_if<core::HttpAction>(&core::arguments_of(command, policy));
    if (action == nullptr) return refuse(effects::refused("no request to send"));
    std::optional<base::Url> url = base::Url::parse(action->url.reveal());
    if (!url) return refuse(effects::refused("not an http URL"));
    if (command.settle) return refuse(effects::settled());
    HttpRequest request{.url = *std::move(url),
                        .method = action->method,
                        .headers = {{"Idempotency-Key", effects::idempotency_key(command)}},
                        .body = action->body.reveal(),
                        .limit = effects::time_left(command, tools_)};
    std::vector<std::string> secrets = request.url.secrets();
    secrets.push_back(action->body.reveal());
    for (const auto& [name, value] : action->headers) {
      request.headers.emplace_back(name, value.reveal());
      secrets.push_back(value.reveal());
    }
    requests_.send(command.id, std::move(request), action->status, std::move(secrets),
                   std::move(done));
  }
  void cancel(core::CommandId command) override { requests_.cancel(command); }

 private:
  Tools tools_;
  HttpRequests requests_;
};

}  // namespace

void HttpRequests::send(core::CommandId id, HttpRequest request, std::vector<int> wanted,
                        std::vector<std::string> secrets, ports::Done done) {
  const std::string where = request.url.where();
  const auto answered = [this, alive = std::weak_ptr<int>(alive_), id, where,
                         wanted = std::move(wanted), secrets = std::move(secrets),
                         done](const HttpAnswer& answer) {
    if (!alive.expired()) running_.erase(id);
    Outcome outcome = judge(answer, wanted);
    outcome.detail = base::redacted(where + ": " + outcome.detail, secrets);
    done(effects::finished(id, std::move(outcome)));
  };
  try {
    running_.emplace(id, HttpExchange::start(tools_.loop, std::move(request), answered));
  } catch (const boost::system::system_error& error) {  // No TLS context, no memory for one.
    effects::report(tools_, done, id, effects::failed(error.what()));
  }
}

void HttpRequests::cancel(core::CommandId id) {
  const auto found = running_.find(id);
  if (found != running_.end()) found->second->cancel();
}

std::unique_ptr<ports::Effector> make_http(const Tools& tools) {
  return std::make_unique<HttpEffector>(tools);
}

}  // namespace recover::adapters::command
