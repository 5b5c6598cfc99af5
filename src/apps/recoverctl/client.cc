#include "apps/recoverctl/client.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>

#include <cctype>
#include <istream>

#include "apps/recoverctl/failure.h"

namespace recover::apps {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace json = boost::json;
using Local = asio::local::stream_protocol;
using boost::system::error_code;

namespace {

constexpr std::string_view kPrefix = "/api/v1/recovery";
constexpr unsigned kHttp11 = 11;

std::string target_of(std::string_view path) {
  return path.starts_with("/api") ? std::string(path) : std::string(kPrefix).append(path);
}

[[noreturn]] void unreachable(const std::string& socket, const error_code& error) {
  const std::string what = "cannot reach recoverd at " + socket + ": " + error.message();
  if (error == boost::system::errc::permission_denied) {
    throw Failure(
        Exit::NotPermitted, "NOT_PERMITTED", what,
        "Run it as root, or join the group that api.operator_group names (ls -l " + socket + ").");
  }
  if (error == boost::system::errc::timed_out || error == beast::error::timeout) {
    throw Failure(Exit::Unreachable, "UNREACHABLE", "recoverd does not answer at " + socket,
                  "It may be very busy; its own log says more.");
  }
  throw Failure(Exit::Unreachable, "UNREACHABLE", what,
                "Is recoverd running? Start it with `systemctl start recoverd` or `recoverd run "
                "--config FILE`; --socket or RECOVERD_SOCKET name another socket.");
}

http::request<http::string_body> request_of(std::string_view method, std::string_view path,
                                            std::string_view body, std::string_view type,
                                            std::string_view if_match = {}) {
  http::request<http::string_body> request;
  request.method(http::string_to_verb(std::string(method)));
  request.target(target_of(path));
  request.version(kHttp11);
  request.set(http::field::host, "localhost");
  request.keep_alive(false);
  if (!if_match.empty()) request.set(http::field::if_match, std::string(if_match));
  if (!body.empty()) {
    request.set(http::field::content_type, std::string(type));
    request.body() = std::string(body);
  }
  request.prepare_payload();
  return request;
}

// One exchange with a deadline over all of it.
struct Exchange {
  explicit Exchange(const std::string& path) : socket(path), stream(loop) {}

  error_code run(http::request<http::string_body>& request) {
    parser.body_limit(Client::kBodyMax);
    stream.expires_after(Client::kTimeout);
    stream.async_connect(Local::endpoint(socket), [&](const error_code& failed) {
      if (failed) {
        error = failed;
        return;
      }
      // An answer may come before all is sent (413): a failed write is told by the read.
      http::async_write(stream, request, [this](const error_code&, std::size_t) { read(); });
    });
    loop.run();
    return error;
  }
  void read() {
    http::async_read(stream, buffer, parser,
                     [this](const error_code& failed, std::size_t) { error = failed; });
  }

  std::string socket;
  asio::io_context loop;
  beast::basic_stream<Local> stream;
  beast::flat_buffer buffer;
  http::response_parser<http::string_body> parser;
  error_code error;
};

Exit exit_of(unsigned status, bool by_rule) {
  switch (status) {
    case 400:
    case 405:
    case 422: return Exit::Usage;
    case 412: return Exit::Failed;
    case 401:
    case 403: return Exit::NotPermitted;
    case 404: return Exit::NoSuchThing;
    case 409: return by_rule ? Exit::Refused : Exit::Failed;
    default: return Exit::Failed;
  }
}

std::string field(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->as_string().c_str())
                                                : std::string();
}

// The mistakes of a configuration, one a line.
std::string mistakes_of(const json::object& problem) {
  const json::value* errors = problem.if_contains("errors");
  if (errors == nullptr || !errors->is_array()) return {};
  std::string lines;
  for (const json::value& error : errors->get_array()) {
    if (!error.is_object()) continue;
    if (!lines.empty()) lines += '\n';
    lines += field(error.get_object(), "detail");
  }
  return lines;
}

std::string take_line(asio::streambuf& buffer) {
  std::istream in(&buffer);
  std::string text;
  std::getline(in, text);
  if (text.ends_with('\r')) text.pop_back();
  return text;
}

}  // namespace

Answer Client::send(std::string_view method, std::string_view path, std::string_view body,
                    std::string_view content_type, std::string_view if_match) const {
  auto request = request_of(method, path, body, content_type, if_match);
  Exchange exchange(socket_);
  const error_code error = exchange.run(request);
  if (error) unreachable(socket_, error);
  const unsigned status = exchange.parser.get().result_int();
  std::string tag(exchange.parser.get()[http::field::etag]);
  return {status, std::move(exchange.parser.get().body()), std::move(tag)};
}

std::string Client::text(std::string_view method, std::string_view path, std::string_view body,
                         std::string_view content_type, std::string_view if_match) const {
  Answer answer = send(method, path, body, content_type, if_match);
  if (answer.status >= 400) fail(answer);
  return std::move(answer.body);
}

json::value Client::get(std::string_view path) const {
  error_code error;
  json::value value = json::parse(text("GET", path), error);
  if (error) throw Failure(Exit::Failed, "BAD_ANSWER", "recoverd answered something odd");
  return value;
}

json::value Client::ask(std::string_view method, std::string_view path,
                        const json::object& body) const {
  error_code error;
  json::value value = json::parse(text(method, path, json::serialize(body)), error);
  if (error) throw Failure(Exit::Failed, "BAD_ANSWER", "recoverd answered something odd");
  return value;
}

void Client::follow(std::string_view path,
                    const std::function<bool(std::string_view)>& line) const {
  asio::io_context loop;
  Local::socket stream(loop);
  error_code error;
  stream.connect(Local::endpoint(socket_), error);
  if (error) unreachable(socket_, error);
  auto request = request_of("GET", path, {}, {});
  http::write(stream, request, error);
  if (error) unreachable(socket_, error);
  asio::streambuf buffer(kBodyMax);
  bool header = true;
  std::string status;
  while (true) {
    asio::read_until(stream, buffer, '\n', error);
    if (error) break;
    const std::string text = take_line(buffer);
    if (status.empty()) status = text;
    if (header) {
      header = !text.empty();
      // A refusal is no stream: ask again as a plain request, which says why.
      if (!header && status.find(" 200") == std::string::npos) fail(send("GET", path));
    } else if (!line(text)) {
      return;
    }
  }
  if (status.empty()) unreachable(socket_, error);
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  constexpr std::string_view kPlain = "-._~";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || kPlain.find(c) != std::string_view::npos) {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kDigits[byte / 16U];
      encoded += kDigits[byte % 16U];
    }
  }
  return encoded;
}

void fail(const Answer& answer) {
  error_code error;
  const json::value value = json::parse(answer.body, error);
  if (error || !value.is_object()) {
    throw Failure(Exit::Failed, "FAILED", "recoverd answered " + std::to_string(answer.status));
  }
  const json::object& problem = value.get_object();
  const std::string rule = field(problem, "rule");
  std::string message = field(problem, "detail");
  if (message.empty()) message = field(problem, "title");
  if (!rule.empty()) message = "refused by the rule " + rule + ": " + message;
  throw Failure(exit_of(answer.status, !rule.empty()), field(problem, "code"), message,
                mistakes_of(problem));
}

}  // namespace recover::apps
