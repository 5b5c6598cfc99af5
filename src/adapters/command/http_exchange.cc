#include "adapters/command/http_exchange.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/ssl.hpp>

namespace recover::adapters::command {
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

class Exchange final : public HttpExchange, public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(asio::io_context& loop, HttpRequest request, std::function<void(HttpAnswer)> answered)
      : url_(std::move(request.url)),
        answered_(std::move(answered)),
        tls_(asio::ssl::context::tls_client),
        resolver_(loop),
        stream_(loop, prepared(tls_)),
        limit_(loop) {
    message_.method_string(request.method);
    message_.target(url_.target);
    message_.version(11);
    const bool own_port = url_.port == (url_.tls ? "443" : "80");
    message_.set(http::field::host, own_port ? url_.host : url_.where());
    message_.set(http::field::user_agent, "recoverd");
    message_.set(http::field::connection, "close");
    if (!url_.user_info.empty()) message_.set(http::field::authorization, basic(url_.user_info));
    for (const auto& [name, value] : request.headers) message_.set(name, value);
    message_.body() = std::move(request.body);
    message_.prepare_payload();
    parser_.skip(request.method == "HEAD");
    limit_.expires_after(request.limit);
  }

  void start() {
    limit_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->finish("no answer in time");
    });
    resolver_.async_resolve(
        url_.host, url_.port,
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->answered_) return;
          if (error) return self->finish(error.message());
          self->socket().async_connect(to, [self](error_code result, const tcp::endpoint&) {
            if (result) return self->finish(result.message());
            self->connected();
          });
        });
  }

  void cancel() override {
    asio::post(limit_.get_executor(), [self = shared_from_this()] { self->finish("cancelled"); });
  }

 private:
  static asio::ssl::context& prepared(asio::ssl::context& tls) {
    error_code ignored;  // Without roots every certificate is refused.
    tls.set_default_verify_paths(ignored);
    tls.set_verify_mode(asio::ssl::verify_peer, ignored);
    return tls;
  }
  beast::tcp_stream& socket() { return stream_.next_layer(); }

  void connected() {
    if (!answered_) return;
    if (!url_.tls) return send(socket());
    if (SSL_set_tlsext_host_name(stream_.native_handle(), url_.host.c_str()) != 1) {
      return finish("TLS: the host's name cannot be sent");
    }
    stream_.set_verify_callback(asio::ssl::host_name_verification(url_.host));
    stream_.async_handshake(asio::ssl::stream_base::client,
                            [self = shared_from_this()](error_code error) {
                              if (error) return self->finish(error.message());
                              if (self->answered_) self->send(self->stream_);
                            });
  }

  template <class Stream>
  void send(Stream& stream) {
    sent_ = true;
    http::async_write(stream, message_,
                      [self = shared_from_this(), &stream](error_code error, std::size_t) {
                        if (error) return self->finish(error.message());
                        http::async_read_header(stream, self->buffer_, self->parser_,
                                                [self](error_code result, std::size_t) {
                                                  self->finish(result ? result.message() : "");
                                                });
                      });
  }

  void finish(std::string error) {
    const auto answered = std::exchange(answered_, nullptr);
    limit_.cancel();
    resolver_.cancel();
    socket().close();
    if (!answered) return;
    const int status = error.empty() ? static_cast<int>(parser_.get().result_int()) : 0;
    answered({.status = status, .sent = sent_, .error = std::move(error)});
  }

  base::Url url_;
  std::function<void(HttpAnswer)> answered_;
  asio::ssl::context tls_;
  tcp::resolver resolver_;
  beast::ssl_stream<beast::tcp_stream> stream_;  // Only its inner half for plain http.
  asio::steady_timer limit_;
  http::request<http::string_body> message_;
  beast::flat_buffer buffer_;
  http::response_parser<http::empty_body> parser_;
  bool sent_ = false;
};

}  // namespace

std::shared_ptr<HttpExchange> HttpExchange::start(asio::io_context& loop, HttpRequest request,
                                                  std::function<void(HttpAnswer)> answered) {
  auto exchange = std::make_shared<Exchange>(loop, std::move(request), std::move(answered));
  exchange->start();
  return exchange;
}

}  // namespace recover::adapters::command
