#include "clients/redis_exchange.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include <array>
#include <utility>

namespace recover::clients {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::size_t kPathMax = 107;  // Of a unix socket.

class RunningRedisExchange final : public RedisExchange,
                                   public std::enable_shared_from_this<RunningRedisExchange> {
 public:
  RunningRedisExchange(asio::io_context& loop, RedisRequest request,
                       std::function<void(RedisAnswer)> answered)
      : request_(std::move(request)),
        answered_(std::move(answered)),
        resolver_(loop),
        socket_(loop),
        limit_(loop) {
    if (!request_.password.empty()) bytes_ = redis_request({"AUTH", request_.password.reveal()});
    for (const auto& words : request_.words) bytes_ += redis_request(words);
    authenticated_ = request_.password.empty();
  }

  void start() {
    if (request_.limit) {
      limit_.expires_after(*request_.limit);
      limit_.async_wait([weak = weak_from_this()](error_code error) {
        const auto self = weak.lock();
        if (!error && self) self->finish(RedisFault::Late, "no answer in time");
      });
    }
    if (!request_.socket.empty()) return start_local();
    resolver_.async_resolve(
        request_.host, std::to_string(request_.port),
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->answered_) return;  // Open nothing more.
          if (error) return self->fail(error);
          for (const auto& entry : to) self->endpoints_.emplace_back(entry.endpoint());
          self->connect();
        });
  }
  void cancel() override {
    asio::post(limit_.get_executor(),
               [self = shared_from_this()] { self->finish(RedisFault::Cancelled, "cancelled"); });
  }
  void abandon() override {
    answered_ = nullptr;
    close();
  }

 private:
  void start_local() {
    if (request_.socket.size() > kPathMax) {
      return asio::post(limit_.get_executor(), [self = shared_from_this()] {
        self->finish(RedisFault::Other, "the socket's path is too long");
      });
    }
    endpoints_.emplace_back(asio::local::stream_protocol::endpoint(request_.socket));
    connect();
  }
  // To the next endpoint ("localhost" has two); the last one's error counts.
  void connect() {
    const auto to = endpoints_[tried_++];
    socket_.async_connect(to, [self = shared_from_this()](error_code error) {
      error_code ignored;
      if (error && self->answered_ && self->tried_ < self->endpoints_.size()) {
        self->socket_.close(ignored);
        return self->connect();
      }
      if (error) return self->fail(error);
      self->answer_.sent = true;
      asio::async_write(self->socket_, asio::buffer(self->bytes_),
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
    while (answer_.replies.size() < request_.words.size()) {
      std::optional<RedisReply> reply = take_reply(input_);
      if (!reply && input_.size() > kAnswerMax) {
        return finish(RedisFault::TooLarge, "an endless answer");
      }
      if (!reply) return read();
      const bool refused = !authenticated_ && reply->kind == RedisReply::Kind::Error;
      const bool ends = refused || reply->kind == RedisReply::Kind::Malformed;
      if (authenticated_ || ends) answer_.replies.push_back(*std::move(reply));
      authenticated_ = true;
      if (ends) break;
    }
    finish(RedisFault::None, "");
  }
  void fail(error_code error) {
    if (error == asio::error::eof) return finish(RedisFault::Closed, "closed without an answer");
    const bool system = error.category() == boost::system::system_category();
    answer_.code = error.value();
    finish(system ? RedisFault::System : RedisFault::Other, error.message());
  }
  void finish(RedisFault fault, std::string error) {
    const auto answered = std::exchange(answered_, nullptr);
    close();
    if (!answered) return;
    answer_.fault = fault;
    answer_.error = std::move(error);
    answered(std::move(answer_));
  }
  void close() {
    limit_.cancel();
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  const RedisRequest request_;
  std::function<void(RedisAnswer)> answered_;
  tcp::resolver resolver_;
  Socket socket_;
  asio::steady_timer limit_;
  std::vector<asio::generic::stream_protocol::endpoint> endpoints_;
  std::size_t tried_ = 0;
  std::string bytes_;
  std::string input_;
  std::array<char, 4096> chunk_{};
  bool authenticated_ = false;
  RedisAnswer answer_;
};

}  // namespace

std::string RedisRequest::where() const {
  return socket.empty() ? host + ":" + std::to_string(port) : socket;
}

std::shared_ptr<RedisExchange> RedisExchange::start(asio::io_context& loop, RedisRequest request,
                                                    std::function<void(RedisAnswer)> answered) {
  auto exchange =
      std::make_shared<RunningRedisExchange>(loop, std::move(request), std::move(answered));
  exchange->start();
  return exchange;
}

}  // namespace recover::clients
