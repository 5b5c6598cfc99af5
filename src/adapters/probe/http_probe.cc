// HTTP and HTTPS: one request a look, on a fresh connection. Certificates are always verified.
// The body is read only when it must match something, and never beyond kBodyMax.
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>
#include <re2/re2.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "adapters/probe/runners.h"
#include "base/redact.h"
#include "base/url.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using core::FailureClass;
using core::Symptom;

constexpr std::uint64_t kBodyMax = 1U << 20U;
constexpr std::size_t kBase64LineMax = 1024;

std::string basic(const std::string& user_info) {
  std::string out(4 * ((user_info.size() + 2) / 3) + 1, '\0');
  const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(user_info.data()),
                                     static_cast<int>(user_info.size()));
  out.resize(static_cast<std::size_t>(size));
  return "Basic " + out;
}

// What does not change from look to look.
struct Plan {
  core::HttpProbe probe;
  base::Url url;
  std::vector<std::string> secrets;
  std::unique_ptr<RE2> body;  // Null: any body.
  asio::ssl::context tls{asio::ssl::context::tls_client};
};

std::shared_ptr<Plan> make_plan(const core::HttpProbe& probe) {
  std::optional<base::Url> url = base::Url::parse(probe.url.reveal());
  if (!url || url->user_info.size() > kBase64LineMax) return nullptr;
  auto plan = std::make_shared<Plan>();
  plan->probe = probe;
  plan->secrets = url->secrets();
  for (const auto& [name, value] : probe.headers) plan->secrets.push_back(value.reveal());
  if (!probe.body_matches.empty()) {
    plan->body = std::make_unique<RE2>(probe.body_matches, RE2::Quiet);
  }
  if (url->tls) {
    error_code ignored;  // Without roots every certificate is refused, which the look reports.
    plan->tls.set_default_verify_paths(ignored);
    plan->tls.set_verify_mode(asio::ssl::verify_peer);
  }
  plan->url = *std::move(url);
  return plan;
}

http::request<http::empty_body> request_of(const Plan& plan) {
  http::request<http::empty_body> request;
  request.method_string(plan.probe.method);
  request.target(plan.url.target);
  request.version(11);
  const bool own_port = plan.url.port == (plan.url.tls ? "443" : "80");
  request.set(http::field::host, own_port ? plan.url.host : plan.url.where());
  request.set(http::field::user_agent, "recoverd");
  request.set(http::field::connection, "close");
  if (!plan.url.user_info.empty()) {
    request.set(http::field::authorization, basic(plan.url.user_info));
  }
  for (const auto& [name, value] : plan.probe.headers) request.set(name, value.reveal());
  return request;
}

class HttpAttempt : public std::enable_shared_from_this<HttpAttempt> {
 public:
  HttpAttempt(asio::io_context& loop, std::shared_ptr<Plan> plan, Found found)
      : plan_(std::move(plan)),
        found_(std::move(found)),
        resolver_(loop),
        stream_(loop, plan_->tls),
        request_(request_of(*plan_)) {
    parser_.body_limit(kBodyMax);
    parser_.skip(plan_->probe.method == "HEAD");
  }

  void start() {
    resolver_.async_resolve(
        plan_->url.host, plan_->url.port,
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->found_) return;  // Abandoned: open nothing more.
          if (error) return self->fail(error);
          self->socket().async_connect(to, [self](error_code result, const tcp::endpoint&) {
            if (result) return self->fail(result);
            self->connected();
          });
        });
  }

  void abandon() {
    found_ = nullptr;
    resolver_.cancel();
    socket().close();
  }

 private:
  beast::tcp_stream& socket() { return stream_.next_layer(); }

  void connected() {
    if (!found_) return;
    if (!plan_->url.tls) return send(socket());
    const char* host = plan_->url.host.c_str();
    if (SSL_set_tlsext_host_name(stream_.native_handle(), host) != 1) {
      return finish(not_done("TLS: the host's name cannot be sent"));
    }
    stream_.set_verify_callback(asio::ssl::host_name_verification(host));
    stream_.async_handshake(asio::ssl::stream_base::client,
                            [self = shared_from_this()](error_code error) {
                              if (error) return self->fail(error);
                              if (self->found_) self->send(self->stream_);
                            });
  }

  template <class Stream>
  void send(Stream& stream) {
    http::async_write(stream, request_,
                      [self = shared_from_this(), &stream](error_code error, std::size_t) {
                        if (error) return self->fail(error);
                        self->receive(stream);
                      });
  }

  template <class Stream>
  void receive(Stream& stream) {
    const auto received = [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->fail(error);
      self->finish(self->judge());
    };
    if (plan_->body) {
      http::async_read(stream, buffer_, parser_, received);
    } else {
      http::async_read_header(stream, buffer_, parser_, received);
    }
  }

  Finding judge() const {
    const http::response<http::string_body>& answer = parser_.get();
    const int status = static_cast<int>(answer.result_int());
    const Duration latency = std::chrono::steady_clock::now() - started_;
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(latency).count();
    std::string detail = "HTTP " + std::to_string(status) + " in " + std::to_string(ms) + " ms";
    const std::vector<int>& wanted = plan_->probe.status;
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
    if (plan_->body && !RE2::PartialMatch(answer.body(), *plan_->body)) {
      return wrong(detail + ", the body does not match");
    }
    if (plan_->probe.max_latency && latency > *plan_->probe.max_latency) {
      const auto max =
          std::chrono::duration_cast<std::chrono::milliseconds>(*plan_->probe.max_latency).count();
      return failed(Symptom::SlowResponse, FailureClass::Timeout,
                    detail + ", at most " + std::to_string(max) + " ms wanted");
    }
    return passed(detail);
  }

  void fail(error_code error) {
    const std::string where = plan_->url.where();
    if (error == http::error::body_limit) {
      return finish(wrong(where + ": the body is larger than 1 MiB"));
    }
    if (error == http::error::end_of_stream || error == asio::error::eof) {
      return finish(failed(Symptom::ProbeFailed, FailureClass::Connection,
                           where + ": closed without an answer"));
    }
    if (error.category() == boost::system::system_category()) {
      return finish(of_errno(error.value(), where));
    }
    finish(failed(Symptom::ProbeFailed, FailureClass::Connection, where + ": " + error.message()));
  }

  void finish(Finding finding) {
    const Found done = std::exchange(found_, nullptr);
    socket().close();
    if (!done) return;
    finding.detail = base::redacted(std::move(finding.detail), plan_->secrets);
    done(std::move(finding));
  }

  std::shared_ptr<Plan> plan_;
  Found found_;
  tcp::resolver resolver_;
  beast::ssl_stream<beast::tcp_stream> stream_;  // Only its inner half for plain http.
  http::request<http::empty_body> request_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

class HttpRunner final : public ProbeRunner {
 public:
  HttpRunner(std::shared_ptr<Plan> plan, asio::io_context& loop)
      : plan_(std::move(plan)), loop_(loop) {}
  ~HttpRunner() override { abandon(); }

  void run(Found found) override {
    attempt_ = std::make_shared<HttpAttempt>(loop_, plan_, std::move(found));
    attempt_->start();
  }
  Finding give_up() override {
    abandon();
    return silent(plan_->url.where() + ": no answer in time");
  }

 private:
  void abandon() {
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  std::shared_ptr<Plan> plan_;
  asio::io_context& loop_;
  std::shared_ptr<HttpAttempt> attempt_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_http(const core::HttpProbe& probe, const Tools& tools) {
  std::shared_ptr<Plan> plan;
  try {
    plan = make_plan(probe);
  } catch (const boost::system::system_error&) {  // No TLS context.
    return make_blocking([] { return not_done("TLS cannot be set up"); }, "TLS", tools);
  }
  if (!plan) return make_blocking([] { return not_done("not an http URL"); }, "url", tools);
  if (plan->body && !plan->body->ok()) {
    return make_blocking([] { return not_done("body_matches is no pattern"); }, "body", tools);
  }
  return std::make_unique<HttpRunner>(std::move(plan), tools.loop);
}

}  // namespace recover::adapters::probe
