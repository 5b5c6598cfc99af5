// HTTP and HTTPS: one request a look, on a fresh connection. Certificates are always verified.
// The body is read only when it must match something, and never beyond kBodyMax.
#include <boost/system/system_error.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "adapters/probe/runners.h"
#include "base/redact.h"
#include "base/url.h"
#include "clients/http_exchange.h"

namespace recover::adapters::probe {
namespace {

using clients::HttpAnswer;
using clients::HttpExchange;
using clients::HttpFault;
using core::FailureClass;
using core::Symptom;

constexpr std::uint64_t kBodyMax = 1U << 20U;

class HttpRunner final : public ProbeRunner {
 public:
  // Throws boost::system::system_error when there is no TLS.
  HttpRunner(core::HttpProbe probe, base::Url url, std::unique_ptr<RE2> body, const Tools& tools)
      : probe_(std::move(probe)),
        body_(std::move(body)),
        loop_(tools.loop),
        request_{.url = std::move(url), .method = probe_.method} {
    secrets_ = request_.url.secrets();
    for (const auto& [name, value] : probe_.headers) {
      request_.headers.emplace_back(name, value.reveal());
      secrets_.push_back(value.reveal());
    }
    if (body_) request_.body_max = kBodyMax;
    if (request_.url.tls) request_.tls = clients::make_tls();
  }
  ~HttpRunner() override { abandon(); }

  void run(Found found) override {
    exchange_ = HttpExchange::start(
        loop_, request_,
        [this, found = std::move(found),
         started = std::chrono::steady_clock::now()](const HttpAnswer& answer) {
          exchange_.reset();
          const Duration latency = std::chrono::steady_clock::now() - started;
          Finding finding = answer.status == 0 ? of_fault(answer) : judge(answer, latency);
          finding.detail = base::redacted(std::move(finding.detail), secrets_);
          found(std::move(finding));
        });
  }
  Finding give_up() override {
    abandon();
    return silent(request_.url.where() + ": no answer in time");
  }

 private:
  Finding judge(const HttpAnswer& answer, Duration latency) const {
    const int status = answer.status;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(latency).count();
    std::string detail = "HTTP " + std::to_string(status) + " in " + std::to_string(ms) + " ms";
    const std::vector<int>& wanted = probe_.status;
    if (std::ranges::find(wanted, status) == wanted.end()) {
      detail += ", wanted";
      for (const int value : wanted) detail += " " + std::to_string(value);
      if (status == 401) {
        return failed(Symptom::AuthenticationFailed, FailureClass::Authentication, detail);
      }
      if (status == 403) {
        return failed(Symptom::PermissionDenied, FailureClass::Permission, detail);
      }
      if (status == 504) return failed(Symptom::ProbeFailed, FailureClass::Timeout, detail);
      return wrong(detail);
    }
    if (body_ && !RE2::PartialMatch(answer.body, *body_)) {
      return wrong(detail + ", the body does not match");
    }
    if (probe_.max_latency && latency > *probe_.max_latency) {
      const auto max =
          std::chrono::duration_cast<std::chrono::milliseconds>(*probe_.max_latency).count();
      return failed(Symptom::SlowResponse, FailureClass::Timeout,
                    detail + ", at most " + std::to_string(max) + " ms wanted");
    }
    return passed(detail);
  }

  Finding of_fault(const HttpAnswer& answer) const {
    const std::string where = request_.url.where();
    switch (answer.fault) {
      case HttpFault::TooLarge: return wrong(where + ": the body is larger than 1 MiB");
      case HttpFault::System: return of_errno(answer.code, where);
      case HttpFault::Closed:
        return failed(Symptom::ProbeFailed, FailureClass::Connection,
                      where + ": closed without an answer");
      case HttpFault::None:
      case HttpFault::Late:
      case HttpFault::Cancelled:
      case HttpFault::Other: break;
    }
    return failed(Symptom::ProbeFailed, FailureClass::Connection, where + ": " + answer.error);
  }

  void abandon() {
    if (exchange_) exchange_->abandon();
    exchange_.reset();
  }

  const core::HttpProbe probe_;
  const std::unique_ptr<RE2> body_;  // Null: any body.
  boost::asio::io_context& loop_;
  clients::HttpRequest request_;
  std::vector<std::string> secrets_;
  std::shared_ptr<HttpExchange> exchange_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_http(const core::HttpProbe& probe, const Tools& tools) {
  const auto never = [&tools](std::string why) {
    return make_blocking([why] { return not_done(why); }, "http", tools);
  };
  std::optional<base::Url> url = base::Url::parse(probe.url.reveal());
  if (!url) return never("not an http URL");
  std::unique_ptr<RE2> body;
  if (!probe.body_matches.empty()) {
    body = std::make_unique<RE2>(probe.body_matches, RE2::Quiet);
    if (!body->ok()) return never("body_matches is no pattern");
  }
  try {
    return std::make_unique<HttpRunner>(probe, *std::move(url), std::move(body), tools);
  } catch (const boost::system::system_error&) {
    return never("TLS cannot be set up");
  }
}

}  // namespace recover::adapters::probe
