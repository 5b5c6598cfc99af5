// Redis: PING, and what else the probe watches, pipelined on a fresh connection.
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <utility>

#include "adapters/probe/redis_reply.h"
#include "adapters/probe/runners.h"
#include "base/redact.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using core::FailureClass;
using core::Symptom;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::size_t kAnswerMax = 2U << 20U;  // Bytes of one answer.
constexpr std::size_t kReplicasMax = 64;

enum class Ask : std::uint8_t { Auth, Ping, Replication, Length, Entries };

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

class RedisAttempt : public std::enable_shared_from_this<RedisAttempt> {
 public:
  RedisAttempt(asio::io_context& loop, const core::RedisProbe& probe, std::string where,
               Found found)
      : probe_(probe),
        where_(std::move(where)),
        found_(std::move(found)),
        resolver_(loop),
        socket_(loop) {
    if (!probe_.password.empty()) ask(Ask::Auth, {"AUTH", probe_.password.reveal()});
    ask(Ask::Ping, {"PING"});
    if (probe_.max_replication_lag) ask(Ask::Replication, {"INFO", "replication"});
    if (probe_.queue.empty()) return;
    ask(Ask::Length, {"LLEN", probe_.queue});   // Of a list.
    ask(Ask::Entries, {"XLEN", probe_.queue});  // Of a stream.
  }

  void start() {
    if (!probe_.socket.empty()) return start_local();
    resolver_.async_resolve(
        probe_.host, std::to_string(probe_.port),
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->found_) return;  // Abandoned: open nothing more.
          if (error) return self->fail(error);
          for (const auto& entry : to) self->endpoints_.emplace_back(entry.endpoint());
          self->connect();
        });
  }
  void abandon() {
    found_ = nullptr;
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  void ask(Ask what, const std::vector<std::string>& words) {
    asked_.push_back(what);
    request_ += redis_request(words);
  }
  void start_local() {
    constexpr std::size_t kPathMax = 107;
    if (probe_.socket.size() > kPathMax) {
      // Never from within run(): a wait of nothing comes back through the loop.
      return asio::post(socket_.get_executor(), [self = shared_from_this()] {
        self->finish(not_done("the socket's path is too long"));
      });
    }
    endpoints_.emplace_back(asio::local::stream_protocol::endpoint(probe_.socket));
    connect();
  }
  // To the next endpoint ("localhost" has two); the last one's error counts.
  void connect() {
    const auto to = endpoints_[tried_++];
    socket_.async_connect(to, [self = shared_from_this()](error_code error) {
      error_code ignored;
      if (error && self->found_ && self->tried_ < self->endpoints_.size()) {
        self->socket_.close(ignored);
        return self->connect();
      }
      if (error) return self->fail(error);
      asio::async_write(self->socket_, asio::buffer(self->request_),
                        [self](error_code result, std::size_t) {
                          if (result) return self->fail(result);
                          self->read();
                        });
    });
  }
  void read() {
    socket_.async_read_some(asio::buffer(chunk_),
                            [self = shared_from_this()](error_code error, std::size_t size) {
                              if (error) return self->fail(error);
                              self->input_.append(self->chunk_.data(), size);
                              self->take();
                            });
  }
  void take() {
    if (input_.size() > kAnswerMax) return finish(wrong(where_ + ": an endless answer"));
    while (answered_ < asked_.size()) {
      const std::optional<RedisReply> reply = take_reply(input_);
      if (!reply) return read();
      Finding finding = judge(asked_[answered_++], *reply);
      if (finding.outcome != core::ProbeOutcome::Passed) return finish(std::move(finding));
    }
    finish(passed());
  }
  Finding judge(Ask what, const RedisReply& reply) {
    if (reply.kind == RedisReply::Kind::Malformed) return wrong(where_ + " is no Redis");
    const bool other_type =
        reply.kind == RedisReply::Kind::Error && reply.text.starts_with("WRONGTYPE");
    if (what == Ask::Length && other_type) return passed();  // The next one asks of a stream.
    // That it is no stream is no news where it was a list.
    if (what == Ask::Entries && other_type && queue_depth_) return passed();
    if (reply.kind == RedisReply::Kind::Error) return of_error(reply.text);
    switch (what) {
      case Ask::Auth:
      case Ask::Ping: return passed();
      case Ask::Replication: return judge_lag(probe_, reply.text);
      case Ask::Length:
      case Ask::Entries:
        queue_depth_ = static_cast<double>(reply.integer);
        return judge_length(probe_, reply.integer);
    }
    return passed();
  }
  void fail(error_code error) {
    if (error == asio::error::eof) {
      return finish(failed(Symptom::ProbeFailed, FailureClass::Connection,
                           where_ + ": closed without an answer"));
    }
    if (error.category() == boost::system::system_category()) {
      return finish(of_errno(error.value(), where_));
    }
    finish(failed(Symptom::ProbeFailed, FailureClass::Connection, where_ + ": " + error.message()));
  }
  void finish(Finding finding) {
    const Found done = std::exchange(found_, nullptr);
    error_code ignored;
    socket_.close(ignored);
    if (!done) return;
    finding.queue_depth = queue_depth_;
    const std::array secrets = {probe_.password.reveal()};
    finding.detail = base::redacted(std::move(finding.detail), secrets);
    done(std::move(finding));
  }

  const core::RedisProbe probe_;
  std::string where_;
  Found found_;
  tcp::resolver resolver_;
  Socket socket_;
  std::vector<asio::generic::stream_protocol::endpoint> endpoints_;
  std::size_t tried_ = 0;
  std::vector<Ask> asked_;
  std::size_t answered_ = 0;
  std::optional<double> queue_depth_;
  std::string request_;
  std::string input_;
  std::array<char, 4096> chunk_{};
};

class RedisRunner final : public ProbeRunner {
 public:
  RedisRunner(core::RedisProbe probe, asio::io_context& loop)
      : probe_(std::move(probe)), loop_(loop) {}
  ~RedisRunner() override { abandon(); }

  void run(Found found) override {
    attempt_ = std::make_shared<RedisAttempt>(loop_, probe_, where(), std::move(found));
    attempt_->start();
  }
  Finding give_up() override {
    abandon();
    return silent(where() + ": no answer in time");
  }

 private:
  std::string where() const {
    return probe_.socket.empty() ? probe_.host + ":" + std::to_string(probe_.port) : probe_.socket;
  }
  void abandon() {
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  core::RedisProbe probe_;
  asio::io_context& loop_;
  std::shared_ptr<RedisAttempt> attempt_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_redis(const core::RedisProbe& probe, const Tools& tools) {
  return std::make_unique<RedisRunner>(probe, tools.loop);
}

}  // namespace recover::adapters::probe
