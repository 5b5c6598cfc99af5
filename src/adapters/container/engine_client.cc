#include "adapters/container/engine_client.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fcntl.h>

#include <array>
#include <utility>

namespace recover::adapters::container {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;
using Socket = asio::local::stream_protocol::socket;

http::request<http::empty_body> message(http::verb verb, const std::string& target) {
  http::request<http::empty_body> made(verb, target, 11);
  made.set(http::field::host, "localhost");
  made.set(http::field::user_agent, "recoverd");
  made.set(http::field::connection, "close");
  made.prepare_payload();
  return made;
}

// Asio opens sockets that programs we start would inherit.
void close_on_exec(Socket& socket) {
  ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
}

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(asio::io_context& loop, http::verb verb, const std::string& target, Answered answered)
      : socket_(loop),
        limit_(loop),
        request_(message(verb, target)),
        answered_(std::move(answered)) {
    parser_.body_limit(kAnswerMax);
  }

  void start(const std::string& path, Duration limit) {
    limit_.expires_after(limit);
    limit_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->finish("no answer in time");
    });
    socket_.async_connect(asio::local::stream_protocol::endpoint(path),
                          [self = shared_from_this(), path](error_code error) {
                            if (error) return self->finish(path + ": " + error.message());
                            close_on_exec(self->socket_);
                            self->write();
                          });
  }

 private:
  void write() {
    http::async_write(socket_, request_,
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (error) return self->finish(error.message());
                        http::async_read(self->socket_, self->buffer_, self->parser_,
                                         [self](error_code failed, std::size_t) {
                                           self->finish(failed ? failed.message() : std::string());
                                         });
                      });
  }
  void finish(const std::string& why) {
    const Answered answered = std::exchange(answered_, nullptr);
    limit_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (!answered) return;
    if (!why.empty()) return answered(Unexpected(why));
    answered(EngineAnswer{static_cast<int>(parser_.get().result_int()),
                          std::move(parser_.get().body()),
                          std::string(parser_.get()[http::field::server])});
  }

  Socket socket_;
  asio::steady_timer limit_;
  http::request<http::empty_body> request_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  Answered answered_;
};

}  // namespace

void request(asio::io_context& loop, const std::string& socket, const char* method,
             const std::string& target, Duration limit, Answered answered) {
  const http::verb verb = http::string_to_verb(method);
  std::make_shared<Exchange>(loop, verb, target, std::move(answered))->start(socket, limit);
}

// ---- the stream

struct EngineStream::State : std::enable_shared_from_this<EngineStream::State> {
  State(asio::io_context& loop, const std::string& target, Hear wanted)
      : socket(loop), asked(message(http::verb::get, target)), hear(std::move(wanted)) {
    parser.body_limit(boost::none);
  }

  void start(const std::string& path) {
    socket.async_connect(asio::local::stream_protocol::endpoint(path),
                         [self = shared_from_this(), path](error_code error) {
                           if (error) return self->end(path + ": " + error.message());
                           close_on_exec(self->socket);
                           self->ask();
                         });
  }
  void ask() {
    http::async_write(socket, asked, [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->end(error.message());
      http::async_read_header(self->socket, self->buffer, self->parser,
                              [self](error_code failed, std::size_t) {
                                if (failed) return self->end(failed.message());
                                self->answered();
                              });
    });
  }
  void answered() {
    if (!live) return;
    if (parser.get().result() != http::status::ok) {
      return end("the engine answers " + std::to_string(parser.get().result_int()));
    }
    hear.opened();
    read();
  }
  void read() {
    if (!live) return;
    parser.get().body().data = block.data();
    parser.get().body().size = block.size();
    http::async_read_some(socket, buffer, parser,
                          [self = shared_from_this()](error_code error, std::size_t) {
                            if (error == http::error::need_buffer) error = {};
                            if (!self->live) return;
                            self->take(self->block.size() - self->parser.get().body().size);
                            if (error) return self->end(error.message());
                            if (self->parser.is_done()) return self->end("the stream ended");
                            self->read();
                          });
  }
  void take(std::size_t size) {
    text.append(block.data(), size);
    std::size_t begin = 0;
    for (std::size_t end = text.find('\n'); live && end != std::string::npos;
         end = text.find('\n', begin)) {
      if (end > begin) hear.line(std::string_view(text).substr(begin, end - begin));
      begin = end + 1;
    }
    text.erase(0, begin);
    if (text.size() > kLineMax) text.clear();
  }
  void end(std::string why) {
    if (!std::exchange(live, false)) return;
    close();
    hear.ended(std::move(why));
  }
  void close() {
    error_code ignored;
    socket.close(ignored);
  }

  Socket socket;
  http::request<http::empty_body> asked;
  Hear hear;
  beast::flat_buffer buffer;
  http::response_parser<http::buffer_body> parser;
  std::array<char, 8192> block{};
  std::string text;
  bool live = true;
};

EngineStream::EngineStream(asio::io_context& loop, const std::string& socket,
                           const std::string& target, Hear hear)
    : state_(std::make_shared<State>(loop, target, std::move(hear))) {
  state_->start(socket);
}
EngineStream::~EngineStream() {
  state_->live = false;
  state_->close();
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    const bool plain = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                       (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' ||
                       letter == '.';
    if (plain) {
      out += letter;
    } else {
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 0xFU];
    }
  }
  return out;
}

}  // namespace recover::adapters::container
