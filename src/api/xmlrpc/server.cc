#include "api/xmlrpc/server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include <recover/check.h>

#include "api/xmlrpc/base64.h"
#include "api/xmlrpc/codec.h"
#include "api/xmlrpc/endpoint.h"
#include "api/xmlrpc/log.h"
#include "base/utf8.h"
#include "core/listen_address.h"

namespace recover::api::xmlrpc {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Generic = asio::generic::stream_protocol;
using Local = asio::local::stream_protocol;
using Tcp = asio::ip::tcp;
using Stream = beast::basic_stream<Generic>;
using boost::system::error_code;

namespace {

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr mode_t kSocketMode = 0660;
constexpr Duration kReadTimeout = std::chrono::seconds{15};
// A client may keep its connection for its next call.
constexpr Duration kIdleMax = std::chrono::minutes{2};
constexpr Duration kWriteTimeout = std::chrono::seconds{15};
constexpr Duration kPoll = std::chrono::milliseconds{20};            // Of what is waited for.
constexpr Duration kFollowPoll = std::chrono::milliseconds{200};     // Of a log that is followed.
constexpr Duration kWrongPassword = std::chrono::milliseconds{500};  // Before it is told.
constexpr Duration kAcceptPause = std::chrono::milliseconds{100};    // After "too many open files".

using Message = http::request<http::string_body>;
using Reply = http::response<http::string_body>;

Reply plain(unsigned status, std::string text, const char* type = "text/plain") {
  constexpr unsigned kVersion = 11;
  Reply reply{static_cast<http::status>(status), kVersion};
  reply.set(http::field::content_type, type);
  reply.set(http::field::cache_control, "no-store");
  reply.body() = std::move(text);
  return reply;
}

// Takes the same time wherever the difference is.
bool same(std::string_view a, std::string_view b) {
  unsigned char difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

std::string_view view(beast::string_view text) {
  return {text.data(), text.size()};
}

// A program that is run must not inherit what Asio opened.
void close_on_exec(int descriptor) {
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

bool somebody_answers(const std::string& path) {
  asio::io_context scratch;
  Local::socket socket(scratch);
  error_code error;
  socket.connect(Local::endpoint(path), error);
  return !error;
}

// Who is at the other end of a unix socket.
Caller caller_of(int socket) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return {};
  const bool ours = peer.uid == 0 || peer.uid == ::geteuid();
  return {ours ? Role::Admin : Role::Viewer,
          "uid:" + std::to_string(peer.uid) + (peer.uid == 0 ? "(root)" : "")};
}

}  // namespace

// g++ 12 destroys temporaries of a full expression with co_await twice when they come from ?: or
// are aggregates: in the coroutines below such values have names.
class Server::Hall : public std::enable_shared_from_this<Server::Hall> {
 public:
  Hall(asio::io_context& loop, core::XmlRpcPolicy policy, Backend backend)
      : policy_(std::move(policy)), endpoint_(std::move(backend)), local_(loop), tcp_(loop) {}

  Result<void, std::string> open();
  void begin();
  void stop();
  std::uint16_t port() const;

 private:
  using Streams = std::list<std::shared_ptr<Stream>>;
  struct Guest {
    bool local = false;
    Caller caller;
  };

  Result<void, std::string> open_local();
  Result<void, std::string> open_tcp();
  template <class Acceptor>
  asio::awaitable<void> accept(Acceptor& acceptor, bool local);
  void admit(Generic::socket socket, Guest guest);
  asio::awaitable<void> converse(std::shared_ptr<Stream> stream, Guest guest);
  asio::awaitable<bool> exchange(Stream& stream, beast::flat_buffer& buffer, Guest guest);
  asio::awaitable<bool> serve(Stream& stream, Message message, Caller caller);
  asio::awaitable<Outcome> outcome_of(Answer answer);
  asio::awaitable<Reply> rpc(std::string body, Caller caller);
  asio::awaitable<void> follow(Stream& stream, Follow follow);
  asio::awaitable<bool> send(Stream& stream, Reply reply, bool keep_alive);
  asio::awaitable<bool> write(Stream& stream, const std::string& text);
  asio::awaitable<void> pause(Duration duration);
  // Nothing: a wrong password.
  std::optional<Caller> identify(const Message& message, const Guest& guest) const;
  std::optional<Follow> log_named(std::string_view target) const;

  core::XmlRpcPolicy policy_;
  Endpoint endpoint_;
  Local::acceptor local_;
  Tcp::acceptor tcp_;
  Streams streams_;
  std::size_t remote_ = 0;  // Of them, by TCP.
  bool stopped_ = false;
};

// ---- the addresses

Result<void, std::string> Server::Hall::open() {
  if (!policy_.socket.empty()) {
    if (auto opened = open_local(); !opened) return opened;
  }
  if (!policy_.listen.empty()) return open_tcp();
  return {};
}

Result<void, std::string> Server::Hall::open_local() {
  const std::string& path = policy_.socket;
  const auto refuse = [&](const std::string& what) {
    return Unexpected<std::string>("api.xmlrpc: " + path + ": " + what);
  };
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return refuse("the path of a unix socket has 1 to 107 bytes");
  }
  if (somebody_answers(path)) return refuse("somebody is listening here already");
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return refuse("there is a file here that is no socket");
    ::unlink(path.c_str());
  }
  error_code error;
  local_.open(Local(), error);
  if (error) return refuse(error.message());
  close_on_exec(local_.native_handle());
  // Never open to others, not even between bind and chmod.
  const mode_t before = ::umask(0777 & ~kSocketMode);
  local_.bind(Local::endpoint(path), error);
  ::umask(before);
  if (error) return refuse(error.message());
  if (::chmod(path.c_str(), kSocketMode) != 0) {
    return refuse(std::generic_category().message(errno));
  }
  local_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return refuse(error.message());
  return {};
}

Result<void, std::string> Server::Hall::open_tcp() {
  const auto refuse = [&](const std::string& what) {
    return Unexpected<std::string>("api.xmlrpc: " + policy_.listen + ": " + what);
  };
  const auto address = core::parse_listen_address(policy_.listen);
  error_code error;
  const auto host = asio::ip::make_address(address ? address->host : "", error);
  if (error || !host.is_loopback()) return refuse("it is no loopback address");
  const Tcp::endpoint place(host, address->port);
  tcp_.open(place.protocol(), error);
  if (error) return refuse(error.message());
  close_on_exec(tcp_.native_handle());
  tcp_.set_option(asio::socket_base::reuse_address(true), error);
  tcp_.bind(place, error);
  if (error) return refuse(error.message());
  tcp_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return refuse(error.message());
  return {};
}

void Server::Hall::begin() {
  const auto self = shared_from_this();
  if (local_.is_open()) {
    asio::co_spawn(
        local_.get_executor(),
        [self]() -> asio::awaitable<void> { co_await self->accept(self->local_, true); },
        asio::detached);
  }
  if (tcp_.is_open()) {
    asio::co_spawn(
        tcp_.get_executor(),
        [self]() -> asio::awaitable<void> { co_await self->accept(self->tcp_, false); },
        asio::detached);
  }
}

void Server::Hall::stop() {
  if (stopped_) return;
  stopped_ = true;
  error_code ignored;
  if (local_.is_open()) ::unlink(policy_.socket.c_str());
  local_.close(ignored);
  tcp_.close(ignored);
  for (const auto& stream : streams_) stream->close();
}

std::uint16_t Server::Hall::port() const {
  error_code error;
  const auto place = tcp_.local_endpoint(error);
  return error ? std::uint16_t{0} : place.port();
}

template <class Acceptor>
asio::awaitable<void> Server::Hall::accept(Acceptor& acceptor, bool local) {
  while (!stopped_) {
    auto [error, socket] = co_await acceptor.async_accept(kUse);
    if (stopped_ || error == asio::error::operation_aborted) co_return;
    if (error) {
      co_await pause(kAcceptPause);
      continue;
    }
    close_on_exec(socket.native_handle());
    Guest guest;
    guest.local = local;
    if (local) guest.caller = caller_of(socket.native_handle());
    admit(Generic::socket(std::move(socket)), std::move(guest));
  }
}

void Server::Hall::admit(Generic::socket socket, Guest guest) {
  // Closed at once. Who comes by TCP may be anybody: some places are left for the unix socket.
  if (streams_.size() >= kConnectionsMax || (!guest.local && remote_ >= kTcpConnectionsMax)) return;
  remote_ += guest.local ? 0U : 1U;
  auto stream = std::make_shared<Stream>(std::move(socket));
  const auto executor = stream->get_executor();
  const auto place = streams_.insert(streams_.end(), stream);
  // Whatever ends the conversation, its place is free again.
  const auto leave = [self = shared_from_this(), place,
                      local = guest.local](const std::exception_ptr&) {
    self->remote_ -= local ? 0U : 1U;
    self->streams_.erase(place);
  };
  asio::co_spawn(
      executor,
      [self = shared_from_this(), stream, guest = std::move(guest)]() -> asio::awaitable<void> {
        co_await self->converse(stream, guest);
      },
      leave);
}

// ---- HTTP

asio::awaitable<void> Server::Hall::converse(std::shared_ptr<Stream> stream, Guest guest) {
  beast::flat_buffer buffer(kHeaderMax + kBodyMax);
  while (!stopped_ && co_await exchange(*stream, buffer, guest)) {
  }
  error_code ignored;
  stream->socket().shutdown(Generic::socket::shutdown_send, ignored);
}

// True: the connection may carry another request.
asio::awaitable<bool> Server::Hall::exchange(Stream& stream, beast::flat_buffer& buffer,
                                             Guest guest) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(kHeaderMax));
  parser.body_limit(kBodyMax);
  stream.expires_after(buffer.size() == 0 ? kIdleMax : kReadTimeout);
  const auto [error, size] = co_await http::async_read(stream, buffer, parser, kUse);
  if (error && error.category() != http::make_error_code(http::error::bad_target).category()) {
    co_return false;  // The connection is gone, or idle for too long.
  }
  if (error == http::error::end_of_stream) co_return false;
  if (error) {
    Reply bad =
        plain(error == http::error::body_limit ? 413 : 400, "this is not what is spoken here");
    co_return co_await send(stream, std::move(bad), false);
  }
  Message message = parser.release();
  // Browsers name the page that sends a request; no client of this API does.
  if (message.find("Origin") != message.end() || message.find("Sec-Fetch-Site") != message.end()) {
    Reply refused = plain(403, "not for web pages");
    co_return co_await send(stream, std::move(refused), false);
  }
  std::optional<Caller> caller = identify(message, guest);
  if (!caller) {
    if (message.find(http::field::authorization) != message.end()) co_await pause(kWrongPassword);
    Reply who = plain(401, "the password, please");
    who.set(http::field::www_authenticate, "Basic realm=\"recoverd\"");
    co_return co_await send(stream, std::move(who), message.keep_alive());
  }
  Caller known = std::move(*caller);
  co_return co_await serve(stream, std::move(message), std::move(known));
}

std::optional<Caller> Server::Hall::identify(const Message& message, const Guest& guest) const {
  constexpr std::string_view kBasic = "Basic ";
  const std::string_view given = view(message[http::field::authorization]);
  if (policy_.password.empty() || (given.empty() && guest.local)) {
    if (guest.local) return guest.caller;
    return Caller{Role::Viewer, "xmlrpc"};
  }
  if (!given.starts_with(kBasic)) return std::nullopt;
  const auto decoded = from_base64(given.substr(kBasic.size()));
  if (!decoded || !same(*decoded, policy_.username + ":" + policy_.password.reveal())) {
    return std::nullopt;
  }
  return Caller{Role::Admin, "xmlrpc:" + policy_.username};
}

asio::awaitable<bool> Server::Hall::serve(Stream& stream, Message message, Caller caller) {
  const bool keep_alive = message.keep_alive();
  const std::string target(view(message.target()));
  const bool log = target.starts_with("/logtail/") || target.starts_with("/mainlogtail");
  if (message.method() == http::verb::get && log) {
    if (caller.role < Role::Operator) {
      Reply refused = plain(policy_.password.empty() ? 403 : 401, "this needs the role operator");
      refused.set(http::field::www_authenticate, "Basic realm=\"recoverd\"");
      co_return co_await send(stream, std::move(refused), keep_alive);
    }
    std::optional<Follow> followed = log_named(target);
    if (followed) {
      Follow named = std::move(*followed);
      co_await follow(stream, std::move(named));
      co_return false;
    }
    Reply gone = plain(410, "there is no such log");
    co_return co_await send(stream, std::move(gone), keep_alive);
  }
  if (target != "/RPC2" && target != "/RPC2/") {
    Reply nothing = plain(404, "XML-RPC is at /RPC2");
    co_return co_await send(stream, std::move(nothing), keep_alive);
  }
  if (message.method() != http::verb::post) {
    Reply wrong = plain(405, "POST a methodCall");
    wrong.set(http::field::allow, "POST");
    co_return co_await send(stream, std::move(wrong), keep_alive);
  }
  Reply reply = co_await rpc(std::move(message.body()), std::move(caller));
  co_return co_await send(stream, std::move(reply), keep_alive);
}

asio::awaitable<Reply> Server::Hall::rpc(std::string body, Caller caller) {
  const auto call = read_call(body);
  if (!call) {
    Reply bad = plain(400, call.error());
    co_return bad;
  }
  Answer answer = endpoint_.call(caller, call->method, call->parameters);
  const Outcome outcome = co_await outcome_of(std::move(answer));
  if (!outcome && outcome.error().code == Code::Forbidden) {
    Reply refused = plain(policy_.password.empty() ? 403 : 401, outcome.error().text);
    refused.set(http::field::www_authenticate, "Basic realm=\"recoverd\"");
    co_return refused;
  }
  Reply reply = plain(200, xmlrpc::write(outcome), "text/xml");
  co_return reply;
}

asio::awaitable<Outcome> Server::Hall::outcome_of(Answer answer) {
  if (auto* known = std::get_if<Outcome>(&answer)) co_return std::move(*known);
  const Later later = std::get<Later>(std::move(answer));
  while (!stopped_) {
    std::optional<Outcome> outcome = later();
    if (outcome) co_return std::move(*outcome);
    co_await pause(kPoll);
  }
  Outcome stopping = Unexpected<Fault>(fault(Code::ShutdownState));
  co_return stopping;
}

asio::awaitable<bool> Server::Hall::send(Stream& stream, Reply reply, bool keep_alive) {
  reply.keep_alive(keep_alive);
  reply.prepare_payload();
  stream.expires_after(kWriteTimeout);
  const auto [error, size] = co_await http::async_write(stream, reply, kUse);
  co_return !error && keep_alive;
}

asio::awaitable<bool> Server::Hall::write(Stream& stream, const std::string& text) {
  stream.expires_after(kWriteTimeout);
  const auto [error, size] = co_await asio::async_write(stream, asio::buffer(text), kUse);
  co_return !error;
}

asio::awaitable<void> Server::Hall::pause(Duration duration) {
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  co_await timer.async_wait(kUse);
}

// ---- logs that are followed

// "/logtail/web", "/logtail/web:0/stderr", "/mainlogtail"
std::optional<Follow> Server::Hall::log_named(std::string_view target) const {
  constexpr std::string_view kLog = "/logtail/";
  const Backend& backend = endpoint_.backend();
  if (!target.starts_with(kLog)) return Follow(backend);
  target.remove_prefix(kLog.size());
  const auto slash = target.find('/');
  const std::string_view channel =
      slash == std::string_view::npos ? "stdout" : target.substr(slash + 1);
  const auto name = percent_decoded(target.substr(0, slash));
  if (!name || (channel != "stdout" && channel != "stderr")) return std::nullopt;
  const auto found = find_process(backend.engine(), *name);
  if (!found || !found->process) return std::nullopt;
  const Channel of = channel == "stderr" ? Channel::Stderr : Channel::Stdout;
  if (!has_log(backend, *found->process, of)) return std::nullopt;
  return Follow(backend, *found->process, of);
}

// In chunks, until the client goes: there is no end. While nothing is written, that it went is seen
// by reading; what it still says is of no interest.
asio::awaitable<void> Server::Hall::follow(Stream& stream, Follow follow) {
  const std::string opening =
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nCache-Control: no-store\r\n"
      "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
  if (!co_await write(stream, opening)) co_return;
  while (!stopped_) {
    std::optional<std::string> text = follow.next();
    if (!text) break;
    if (text->empty()) {
      std::array<char, 256> said{};
      const int socket = stream.socket().native_handle();
      if (::recv(socket, said.data(), said.size(), MSG_DONTWAIT) == 0) co_return;
      co_await pause(kFollowPoll);
      continue;
    }
    const std::string clean = base::valid_utf8(std::move(*text));
    std::array<char, 24> size{};
    std::snprintf(size.data(), size.size(), "%zx\r\n", clean.size());
    const std::string chunk = size.data() + clean + "\r\n";
    if (!co_await write(stream, chunk)) co_return;
  }
  const std::string last = "0\r\n\r\n";
  co_await write(stream, last);
}

Result<std::unique_ptr<Server>, std::string> Server::listen(asio::io_context& loop,
                                                            const core::XmlRpcPolicy& policy,
                                                            Backend backend) {
  RECOVER_CHECK(backend.engine && backend.journal != nullptr && backend.post && backend.now &&
                backend.wall_ns);
  auto hall = std::make_shared<Hall>(loop, policy, std::move(backend));
  if (auto opened = hall->open(); !opened) return Unexpected<std::string>(opened.error());
  hall->begin();
  return std::unique_ptr<Server>(new Server(std::move(hall)));
}

Server::Server(std::shared_ptr<Hall> hall) : hall_(std::move(hall)) {}
Server::~Server() {
  stop();
}
void Server::stop() {
  hall_->stop();
}
std::uint16_t Server::port() const {
  return hall_->port();
}

}  // namespace recover::api::xmlrpc
