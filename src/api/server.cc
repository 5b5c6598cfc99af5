#include "api/server.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/json.hpp>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <list>
#include <optional>
#include <system_error>
#include <utility>

#include "api/event_stream.h"
#include "api/problem.h"
#include "api/repeats.h"
#include "api/routes.h"

namespace recover::api {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Local = asio::local::stream_protocol;
using Stream = beast::basic_stream<Local>;
using boost::system::error_code;

namespace {

constexpr auto kUse = asio::as_tuple(asio::use_awaitable);
constexpr mode_t kSocketMode = 0660;
constexpr std::chrono::milliseconds kAcceptPause{100};  // After "too many open files".

struct Peer {
  uid_t uid = static_cast<uid_t>(-1);
  bool known = false;
  std::vector<gid_t> groups = {};  // When it connected.
};

// Groups beside the first; none where the kernel does not tell.
std::vector<gid_t> peer_groups(int socket) {
  constexpr std::size_t kGroupsMax = 65'536;  // As many as Linux allows (NGROUPS_MAX).
  std::vector<gid_t> groups(64);
  while (true) {
    auto size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    if (errno != ERANGE || groups.size() >= kGroupsMax) return {};
    groups.resize(kGroupsMax);
  }
}

Peer peer_of(int socket) {
  ucred credentials{};
  socklen_t size = sizeof credentials;
  if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) return {};
  Peer peer{credentials.uid, true, peer_groups(socket)};
  peer.groups.push_back(credentials.gid);
  return peer;
}

// Names of other users are not looked up: that can ask a directory service, and wait for it.
std::string actor_of(uid_t uid) {
  return "uid:" + std::to_string(uid) + (uid == 0 ? "(root)" : "");
}

std::optional<Method> method_of(http::verb verb) {
  if (verb == http::verb::get) return Method::Get;
  if (verb == http::verb::post) return Method::Post;
  if (verb == http::verb::put) return Method::Put;
  if (verb == http::verb::delete_) return Method::Delete;
  return std::nullopt;
}

// Whether somebody answers on the path.
bool alive(const std::string& path) {
  asio::io_context scratch;
  Local::socket socket(scratch);
  error_code error;
  socket.connect(Local::endpoint(path), error);
  return !error;
}

// Error: what to answer instead.
Result<Request, Response> request_of(http::request<http::string_body>& message,
                                     const Caller& caller) {
  const auto method = method_of(message.method());
  if (!method) {
    return Unexpected<Response>(
        problem(405, "METHOD_NOT_ALLOWED", "this API knows GET, POST, PUT and DELETE"));
  }
  Request request;
  const auto target = message.target();
  if (!set_target(request, std::string_view(target.data(), target.size()))) {
    return Unexpected<Response>(problem(400, "BAD_REQUEST", "the path is malformed"));
  }
  request.method = *method;
  request.caller = caller;
  request.body = std::move(message.body());
  request.last_event_id = std::string(message["Last-Event-ID"]);
  request.if_match = std::string(message["If-Match"]);
  request.if_none_match = std::string(message["If-None-Match"]);
  request.idempotency_key = std::string(message["Idempotency-Key"]);
  return request;
}

Response malformed(const error_code& error) {
  if (error == http::error::body_limit) {
    return problem(413, "TOO_LARGE", "a request body may have 1 MiB at most");
  }
  if (error == http::error::header_limit || error == http::error::buffer_overflow) {
    return problem(431, "HEADER_TOO_LARGE", "the request's header may have 16 KiB at most");
  }
  return problem(400, "BAD_REQUEST", "this is not HTTP/1.1: " + error.message());
}

}  // namespace

// g++ 12 destroys temporaries of a full expression with co_await twice when they come from ?: or
// are aggregates: in the coroutines below such values have names.
//
// Everything connections share; lives until the last of them is gone.
class Server::Hall : public std::enable_shared_from_this<Server::Hall> {
 public:
  Hall(asio::io_context& loop, ServerOptions options, Backend backend)
      : options_(std::move(options)), backend_(std::move(backend)), acceptor_(loop) {}

  Result<void, std::string> open();
  void begin();
  void stop();

 private:
  using Streams = std::list<std::shared_ptr<Stream>>;
  using Verdict = std::optional<Response>;

  asio::awaitable<void> accept();
  void admit(Local::socket socket);
  asio::awaitable<void> converse(std::shared_ptr<Stream> stream, Caller caller);
  asio::awaitable<void> refuse(std::shared_ptr<Stream> stream);
  asio::awaitable<bool> one_exchange(Stream& stream, beast::flat_buffer& buffer,
                                     const Caller& caller);
  asio::awaitable<bool> answer(Stream& stream, Response response, bool keep_alive) const;
  asio::awaitable<Response> respond(Request request);
  asio::awaitable<void> follow(Stream& stream, Request request);
  asio::awaitable<bool> write_text(Stream& stream, const std::string& text) const;
  Role role_of(const Peer& peer) const;

  ServerOptions options_;
  Backend backend_;
  Repeats repeats_;
  Local::acceptor acceptor_;
  Streams streams_;
  std::size_t viewers_ = 0;
  bool stopped_ = false;
};

Result<void, std::string> Server::Hall::open() {
  const std::string& path = options_.socket;
  const auto failed = [&](const std::string& what) {
    return Unexpected<std::string>(path + ": " + what);
  };
  if (path.empty() || path.size() >= sizeof(sockaddr_un::sun_path)) {
    return failed("the path of a unix socket has 1 to 107 bytes");
  }
  if (alive(path)) return failed("another recoverd is listening here already");
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) return failed("there is a file here that is no socket");
    ::unlink(path.c_str());
  }
  error_code error;
  acceptor_.open(Local(), error);
  if (error) return failed(error.message());
  // Never open to others, not even between bind and chmod.
  const mode_t before = ::umask(0777 & ~kSocketMode);
  acceptor_.bind(Local::endpoint(path), error);
  ::umask(before);
  if (error) return failed(error.message());
  if (::chmod(path.c_str(), kSocketMode) != 0)
    return failed(std::generic_category().message(errno));
  if (options_.operator_group &&
      ::chown(path.c_str(), static_cast<uid_t>(-1), *options_.operator_group) != 0) {
    return failed("cannot be given to api.operator_group: " +
                  std::generic_category().message(errno));
  }
  acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed(error.message());
  return {};
}

void Server::Hall::begin() {
  asio::co_spawn(
      acceptor_.get_executor(),
      [self = shared_from_this()]() -> asio::awaitable<void> { co_await self->accept(); },
      asio::detached);
}

void Server::Hall::stop() {
  if (stopped_) return;
  stopped_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  ::unlink(options_.socket.c_str());
  for (const auto& stream : streams_) stream->close();
}

Role Server::Hall::role_of(const Peer& peer) const {
  if (!peer.known) return Role::Public;
  if (options_.role_of) return options_.role_of(peer.uid);
  if (peer.uid == 0 || peer.uid == ::geteuid()) return Role::Admin;
  const auto& groups = peer.groups;
  const bool operates =
      options_.operator_group &&
      std::find(groups.begin(), groups.end(), *options_.operator_group) != groups.end();
  return operates ? Role::Operator : Role::Viewer;
}

asio::awaitable<void> Server::Hall::accept() {
  while (!stopped_) {
    auto [error, socket] = co_await acceptor_.async_accept(kUse);
    if (stopped_ || error == asio::error::operation_aborted) co_return;
    if (error) {
      asio::steady_timer pause(acceptor_.get_executor(), kAcceptPause);
      co_await pause.async_wait(kUse);
      continue;
    }
    admit(std::move(socket));
  }
}

void Server::Hall::admit(Local::socket socket) {
  const Peer peer = peer_of(socket.native_handle());
  const Caller caller{role_of(peer), actor_of(peer.uid)};
  const bool viewer = caller.role <= Role::Viewer;
  const bool full =
      streams_.size() >= kConnectionsMax || (viewer && viewers_ >= kViewerConnectionsMax);
  auto stream = std::make_shared<Stream>(std::move(socket));
  const auto executor = stream->get_executor();
  if (full) {
    asio::co_spawn(
        executor,
        [self = shared_from_this(), stream]() -> asio::awaitable<void> {
          co_await self->refuse(stream);
        },
        asio::detached);
    return;
  }
  const auto place = streams_.insert(streams_.end(), stream);
  viewers_ += viewer ? 1U : 0U;
  // Whatever ends the conversation, its place is free again.
  const auto leave = [self = shared_from_this(), place, viewer](const std::exception_ptr&) {
    self->viewers_ -= viewer ? 1U : 0U;
    self->streams_.erase(place);
  };
  asio::co_spawn(
      executor,
      [self = shared_from_this(), stream, caller]() -> asio::awaitable<void> {
        co_await self->converse(stream, caller);
      },
      leave);
}

asio::awaitable<void> Server::Hall::refuse(std::shared_ptr<Stream> stream) {
  Response busy = problem(503, "BUSY", "too many connections; try again in a moment");
  co_await answer(*stream, std::move(busy), false);
}

asio::awaitable<void> Server::Hall::converse(std::shared_ptr<Stream> stream, Caller caller) {
  beast::flat_buffer buffer(kHeaderMax + kBodyMax);
  while (!stopped_ && co_await one_exchange(*stream, buffer, caller)) {
  }
  error_code ignored;
  stream->socket().shutdown(Local::socket::shutdown_send, ignored);
}

// True: the connection may carry another request.
asio::awaitable<bool> Server::Hall::one_exchange(Stream& stream, beast::flat_buffer& buffer,
                                                 const Caller& caller) {
  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(kHeaderMax));
  parser.body_limit(kBodyMax);
  stream.expires_after(options_.read_timeout);
  const auto [error, size] = co_await http::async_read(stream, buffer, parser, kUse);
  if (error == http::error::end_of_stream || error == beast::error::timeout) co_return false;
  if (error && error.category() != http::make_error_code(http::error::bad_target).category()) {
    co_return false;  // The connection is gone.
  }
  if (error) {
    Response bad = malformed(error);
    co_await answer(stream, std::move(bad), false);
    co_return false;
  }
  http::request<http::string_body> message = parser.release();
  const bool keep_alive = message.keep_alive();
  Result<Request, Response> request = request_of(message, caller);
  if (!request) {
    co_return co_await answer(stream, std::move(request).error(), keep_alive);
  }
  if (request->method == Method::Get && request->path == kStreamPath) {
    co_await follow(stream, std::move(*request));
    co_return false;
  }
  Response response = co_await respond(std::move(*request));
  co_return co_await answer(stream, std::move(response), keep_alive);
}

asio::awaitable<Response> Server::Hall::respond(Request request) {
  // The reply may come later and may come after this coroutine was dropped.
  struct Slot {
    explicit Slot(const asio::any_io_executor& executor)
        : arrived(executor, asio::steady_timer::time_point::max()) {}
    std::optional<Response> response;
    asio::steady_timer arrived;
  };
  const auto slot = std::make_shared<Slot>(co_await asio::this_coro::executor);
  repeats_.dispatch(backend_, std::move(request), [slot](Response response) {
    slot->response = std::move(response);
    slot->arrived.cancel();
  });
  if (!slot->response) co_await slot->arrived.async_wait(kUse);
  if (slot->response) co_return std::move(*slot->response);
  Response stopping = problem(503, "STOPPING", "recoverd is stopping");
  co_return stopping;
}

asio::awaitable<bool> Server::Hall::answer(Stream& stream, Response response,
                                           bool keep_alive) const {
  constexpr unsigned kVersion = 11;
  http::response<http::string_body> message{static_cast<http::status>(response.status), kVersion};
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::cache_control, "no-cache");
  for (const auto& [name, value] : response.headers) message.set(name, value);
  message.keep_alive(keep_alive);
  message.body() = std::move(response.body);
  message.prepare_payload();
  stream.expires_after(options_.write_timeout);
  const auto [error, size] = co_await http::async_write(stream, message, kUse);
  co_return !error && keep_alive;
}

asio::awaitable<bool> Server::Hall::write_text(Stream& stream, const std::string& text) const {
  stream.expires_after(options_.write_timeout);
  const auto [error, size] = co_await asio::async_write(stream, asio::buffer(text), kUse);
  co_return !error;
}

asio::awaitable<void> Server::Hall::follow(Stream& stream, Request request) {
  if (request.caller.role < Role::Viewer) {
    Response forbidden = problem(403, "FORBIDDEN", "this needs the role viewer");
    co_await answer(stream, std::move(forbidden), false);
    co_return;
  }
  auto events = EventStream::open(backend_, request);
  if (!events) {
    co_await answer(stream, std::move(events).error(), false);
    co_return;
  }
  const std::string opening =
      "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
      "Cache-Control: no-store\r\nConnection: close\r\n\r\nretry: 3000\n\n";
  if (!co_await write_text(stream, opening)) co_return;
  asio::steady_timer pause(stream.get_executor());
  Duration silent{};
  while (!stopped_) {
    std::string text = events->next();
    if (text.empty() && silent >= options_.heartbeat) text = ": hb\n\n";
    if (!text.empty()) {
      silent = Duration::zero();
      if (!co_await write_text(stream, text)) co_return;
      continue;
    }
    pause.expires_after(options_.stream_poll);
    co_await pause.async_wait(kUse);
    silent += options_.stream_poll;
  }
}

Result<std::unique_ptr<Server>, std::string> Server::listen(asio::io_context& loop,
                                                            ServerOptions options,
                                                            Backend backend) {
  RECOVER_CHECK(backend.engine && backend.journal != nullptr && backend.post && backend.now &&
                backend.wall_ns);
  auto hall = std::make_shared<Hall>(loop, std::move(options), std::move(backend));
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

}  // namespace recover::api
