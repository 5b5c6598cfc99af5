#include "clients/http_exchange.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace recover::clients {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

std::string basic(const std::string& user_info) {
  std::string out(4 * ((user_info.size() + 2) / 3) + 1, '\0');
  const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                     reinterpret_cast<const unsigned char*>(user_info.data()),
                                     static_cast<int>(user_info.size()));
  out.resize(static_cast<std::size_t>(size));
  return "Basic " + out;
}

http::request<http::string_body> message_of(HttpRequest& request) {
  http::request<http::string_body> message;
  const base::Url& url = request.url;
  message.method_string(request.method);
  message.target(url.target);
  message.version(11);
  const bool own_port = url.port == (url.tls ? "443" : "80");
  message.set(http::field::host, own_port ? url.host : url.where());
  message.set(http::field::user_agent, "recoverd");
  message.set(http::field::connection, "close");
  if (!url.user_info.empty()) message.set(http::field::authorization, basic(url.user_info));
  for (const auto& [name, value] : request.headers) message.set(name, value);
  message.body() = std::move(request.body);
  message.prepare_payload();
  return message;
}

HttpFault fault_of(error_code error) {
  if (error == http::error::body_limit) return HttpFault::TooLarge;
  if (error == http::error::end_of_stream || error == asio::error::eof) return HttpFault::Closed;
  return error.category() == boost::system::system_category() ? HttpFault::System
                                                              : HttpFault::Other;
}

class RunningHttpExchange final : public HttpExchange,
                                  public std::enable_shared_from_this<RunningHttpExchange> {
 public:
  RunningHttpExchange(asio::io_context& loop, HttpRequest request,
                      std::function<void(HttpAnswer)> answered)
      : url_(request.url),
        answered_(std::move(answered)),
        tls_(tls_of(request)),
        resolver_(loop),
        stream_(loop, *tls_),
        limit_(loop),
        message_(message_of(request)),
        reads_body_(request.body_max.has_value()) {
    // Also what the header announces is held against it.
    parser_.body_limit(request.body_max ? boost::optional<std::uint64_t>(*request.body_max)
                                        : boost::none);
    parser_.skip(request.method == "HEAD");
    if (request.limit) limit_.expires_after(*request.limit);
    limited_ = request.limit.has_value();
  }

  void start() {
    if (limited_) {
      limit_.async_wait([weak = weak_from_this()](error_code error) {
        const auto self = weak.lock();
        if (!error && self) self->give_up(HttpFault::Late, "no answer in time");
      });
    }
    resolver_.async_resolve(
        url_.host, url_.port,
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->answered_) return;  // Open nothing more.
          if (error) return self->fail(error);
          self->socket().async_connect(to, [self](error_code result, const tcp::endpoint&) {
            if (result) return self->fail(result);
            self->connected();
          });
        });
  }

  void cancel() override {
    asio::post(limit_.get_executor(),
               [self = shared_from_this()] { self->give_up(HttpFault::Cancelled, "cancelled"); });
  }
  void abandon() override {
    answered_ = nullptr;
    close();
  }

 private:
  static std::shared_ptr<asio::ssl::context> tls_of(const HttpRequest& request) {
    if (request.tls) return request.tls;
    if (request.url.tls) return make_tls();
    return std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);  // Not used.
  }
  beast::tcp_stream& socket() { return stream_.next_layer(); }

  void connected() {
    if (!answered_) return;
    if (!url_.tls) return send(socket());
    if (SSL_set_tlsext_host_name(stream_.native_handle(), url_.host.c_str()) != 1) {
      return give_up(HttpFault::Other, "TLS: the host's name cannot be sent");
    }
    stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host));
    stream_.async_handshake(asio::ssl::stream_base::client,
                            [self = shared_from_this()](error_code error) {
                              if (error) return self->fail(error);
                              if (self->answered_) self->send(self->stream_);
                            });
  }

  template <class Stream>
  void send(Stream& stream) {
    sent_ = true;
    http::async_write(stream, message_,
                      [self = shared_from_this(), &stream](error_code error, std::size_t) {
                        if (error) return self->fail(error);
                        self->receive(stream);
                      });
  }

  template <class Stream>
  void receive(Stream& stream) {
    const auto received = [self = shared_from_this()](error_code error, std::size_t) {
      if (error) return self->fail(error);
      const auto& answer = self->parser_.get();
      self->finish({.status = static_cast<int>(answer.result_int()), .body = answer.body()});
    };
    if (reads_body_) {
      http::async_read(stream, buffer_, parser_, received);
    } else {
      http::async_read_header(stream, buffer_, parser_, received);
    }
  }

  void fail(error_code error) {
    finish({.fault = fault_of(error), .code = error.value(), .error = error.message()});
  }
  void give_up(HttpFault fault, std::string why) {
    finish({.fault = fault, .error = std::move(why)});
  }
  void finish(HttpAnswer answer) {
    const auto answered = std::exchange(answered_, nullptr);
    close();
    if (!answered) return;
    answer.sent = sent_;
    answered(std::move(answer));
  }
  void close() {
    limit_.cancel();
    resolver_.cancel();
    socket().close();
  }

  base::Url url_;
  std::function<void(HttpAnswer)> answered_;
  std::shared_ptr<asio::ssl::context> tls_;
  tcp::resolver resolver_;
  beast::ssl_stream<beast::tcp_stream> stream_;  // Only its inner half for plain http.
  asio::steady_timer limit_;
  http::request<http::string_body> message_;
  beast::flat_buffer buffer_;
  http::response_parser<http::string_body> parser_;
  bool reads_body_;
  bool limited_ = false;
  bool sent_ = false;
};

}  // namespace

std::shared_ptr<asio::ssl::context> make_tls() {
  auto tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  error_code ignored;  // Without roots every certificate is refused, which is then told.
  tls->set_default_verify_paths(ignored);
  tls->set_verify_mode(asio::ssl::verify_peer, ignored);
  return tls;
}

std::shared_ptr<HttpExchange> HttpExchange::start(asio::io_context& loop, HttpRequest request,
                                                  std::function<void(HttpAnswer)> answered) {
  auto exchange =
      std::make_shared<RunningHttpExchange>(loop, std::move(request), std::move(answered));
  exchange->start();
  return exchange;
}

}  // namespace recover::clients
