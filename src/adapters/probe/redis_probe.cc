// Redis: PING, and what else the probe watches, pipelined on a fresh connection.
#include <charconv>
#include <memory>
#include <utility>

#include "adapters/probe/runners.h"
#include "base/redact.h"
#include "clients/redis_exchange.h"

namespace recover::adapters::probe {
namespace {

using clients::info_field;
using clients::RedisAnswer;
using clients::RedisExchange;
using clients::RedisFault;
using clients::RedisReply;
using core::FailureClass;
using core::Symptom;

constexpr std::size_t kReplicasMax = 64;

enum class Ask : std::uint8_t { Ping, Replication, Length, Entries };

std::int64_t number_or_zero(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Finding of_error(const std::string& error) {
  const auto is = [&](std::string_view code) { return error.starts_with(code); };
  if (is("NOAUTH") || is("WRONGPASS") || is("ERR invalid password") || is("ERR AUTH")) {
    return failed(Symptom::AuthenticationFailed, FailureClass::Authentication, error);
  }
  if (is("NOPERM")) return failed(Symptom::PermissionDenied, FailureClass::Permission, error);
  if (is("LOADING") || is("BUSY")) {
    return failed(Symptom::ServiceUnresponsive, FailureClass::SystemUnavailable, error);
  }
  if (is("MASTERDOWN")) {
    return failed(Symptom::ProbeFailed, FailureClass::DependencyFailure, error);
  }
  if (is("OOM") || is("ERR max number of clients")) {
    return failed(Symptom::ProbeFailed, FailureClass::ResourceExhaustion, error);
  }
  return wrong(error);
}

// Seconds behind, by what INFO says of either side.
std::int64_t lag_of(std::string_view info) {
  if (info_field(info, "role") == "slave") {
    if (info_field(info, "master_link_status") == "up") {
      return number_or_zero(info_field(info, "master_last_io_seconds_ago"));
    }
    return std::max<std::int64_t>(
        number_or_zero(info_field(info, "master_link_down_since_seconds")), 1);
  }
  std::int64_t worst = 0;
  for (std::size_t index = 0; index < kReplicasMax; ++index) {
    const std::string_view replica = info_field(info, "slave" + std::to_string(index));
    if (replica.empty()) break;
    const auto at = replica.find("lag=");
    if (at != std::string_view::npos)
      worst = std::max(worst, number_or_zero(replica.substr(at + 4)));
  }
  return worst;
}

Finding judge_lag(const core::RedisProbe& probe, std::string_view info) {
  const Duration lag = std::chrono::seconds(lag_of(info));
  if (lag <= *probe.max_replication_lag) return passed();
  const bool down = info_field(info, "master_link_status") == "down";
  return failed(Symptom::ReplicationLag, FailureClass::DataInconsistency,
                "replication is " +
                    std::to_string(std::chrono::duration_cast<std::chrono::seconds>(lag).count()) +
                    " s behind" + (down ? ", the link to its primary is down" : ""));
}

Finding judge_length(const core::RedisProbe& probe, std::int64_t length) {
  if (!probe.queue_depth || static_cast<std::uint64_t>(length) <= *probe.queue_depth) {
    return passed();
  }
  return failed(Symptom::QueueBacklog, FailureClass::ResourceExhaustion,
                probe.queue + " holds " + std::to_string(length) + ", at most " +
                    std::to_string(*probe.queue_depth) + " wanted");
}

class RedisRunner final : public ProbeRunner {
 public:
  RedisRunner(core::RedisProbe probe, const Tools& tools)
      : probe_(std::move(probe)), loop_(tools.loop) {
    request_.host = probe_.host;
    request_.port = probe_.port;
    request_.socket = probe_.socket;
    request_.password = probe_.password;
    ask(Ask::Ping, {"PING"});
    if (probe_.max_replication_lag) ask(Ask::Replication, {"INFO", "replication"});
    if (probe_.queue.empty()) return;
    ask(Ask::Length, {"LLEN", probe_.queue});   // Of a list.
    ask(Ask::Entries, {"XLEN", probe_.queue});  // Of a stream.
  }
  ~RedisRunner() override { abandon(); }

  void run(Found found) override {
    exchange_ = RedisExchange::start(
        loop_, request_, [this, found = std::move(found)](const RedisAnswer& answer) {
          exchange_.reset();
          queue_depth_.reset();
          Finding finding = judge(answer);
          finding.queue_depth = queue_depth_;
          const std::vector<std::string> secrets = {probe_.password.reveal()};
          finding.detail = base::redacted(std::move(finding.detail), secrets);
          found(std::move(finding));
        });
  }
  Finding give_up() override {
    abandon();
    return silent(request_.where() + ": no answer in time");
  }

 private:
  void ask(Ask what, std::vector<std::string> words) {
    asked_.push_back(what);
    request_.words.push_back(std::move(words));
  }
  // The first that does not pass.
  Finding judge(const RedisAnswer& answer) {
    for (std::size_t index = 0; index < answer.replies.size(); ++index) {
      Finding finding = judge(asked_[index], answer.replies[index]);
      if (finding.outcome != core::ProbeOutcome::Passed) return finding;
    }
    const std::string detail = request_.where() + ": " + answer.error;
    switch (answer.fault) {
      case RedisFault::None: return passed();
      case RedisFault::System: return of_errno(answer.code, request_.where());
      case RedisFault::TooLarge: return wrong(detail);
      case RedisFault::Late:
      case RedisFault::Cancelled: return not_done(detail);
      case RedisFault::Closed:
      case RedisFault::Other: break;
    }
    return failed(Symptom::ProbeFailed, FailureClass::Connection, detail);
  }
  Finding judge(Ask what, const RedisReply& reply) {
    if (reply.kind == RedisReply::Kind::Malformed) return wrong(request_.where() + " is no Redis");
    const bool other_type =
        reply.kind == RedisReply::Kind::Error && reply.text.starts_with("WRONGTYPE");
    if (what == Ask::Length && other_type) return passed();  // The next one asks of a stream.
    // That it is no stream is no news where it was a list.
    if (what == Ask::Entries && other_type && queue_depth_) return passed();
    if (reply.kind == RedisReply::Kind::Error) return of_error(reply.text);
    switch (what) {
      case Ask::Ping: return passed();
      case Ask::Replication: return judge_lag(probe_, reply.text);
      case Ask::Length:
      case Ask::Entries:
        queue_depth_ = static_cast<double>(reply.integer);
        return judge_length(probe_, reply.integer);
    }
    return passed();
  }
  void abandon() {
    if (exchange_) exchange_->abandon();
    exchange_.reset();
  }

  const core::RedisProbe probe_;
  boost::asio::io_context& loop_;
  clients::RedisRequest request_;
  std::vector<Ask> asked_;
  std::shared_ptr<RedisExchange> exchange_;
  std::optional<double> queue_depth_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_redis(const core::RedisProbe& probe, const Tools& tools) {
  return std::make_unique<RedisRunner>(probe, tools);
}

}  // namespace recover::adapters::probe
