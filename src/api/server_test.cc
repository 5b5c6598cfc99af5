// The server on a real socket: HTTP, limits, bad and slow clients, peer credentials, the stream.
#include "api/server.h"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <istream>
#include <memory>
#include <string>
#include <vector>

#include "test/api_daemon.h"

namespace recover::api {
namespace {

namespace asio = boost::asio;
using api_test::Daemon;
using Local = asio::local::stream_protocol;
using namespace std::chrono_literals;

class Talk {
 public:
  explicit Talk(const std::string& path) { socket_.connect(Local::endpoint(path)); }

  // Errors are told by what is read.
  void say(const std::string& text) {
    boost::system::error_code ignored;
    asio::write(socket_, asio::buffer(text), ignored);
  }
  void get(const std::string& target) { say("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"); }
  // The next answer: header and body.
  std::string hear() {
    boost::system::error_code error;
    asio::read_until(socket_, buffer_, "\r\n\r\n", error);
    std::string text = take(error ? buffer_.size() : header_size());
    const auto length = text.find("Content-Length: ");
    if (error || length == std::string::npos) return text;
    const std::size_t wanted = std::stoul(text.substr(length + 16));
    if (buffer_.size() < wanted) {
      asio::read(socket_, buffer_, asio::transfer_exactly(wanted - buffer_.size()), error);
    }
    return text + take(std::min(wanted, buffer_.size()));
  }
  std::string line() {
    boost::system::error_code error;
    asio::read_until(socket_, buffer_, '\n', error);
    std::istream in(&buffer_);
    std::string text;
    std::getline(in, text);
    return text;
  }
  bool closed() {
    char byte = 0;
    boost::system::error_code error;
    asio::read(socket_, asio::buffer(&byte, 1), error);
    return static_cast<bool>(error);
  }

 private:
  std::size_t header_size() {
    const std::string all(asio::buffers_begin(buffer_.data()), asio::buffers_end(buffer_.data()));
    return all.find("\r\n\r\n") + 4;
  }
  std::string take(std::size_t size) {
    const std::string text(asio::buffers_begin(buffer_.data()),
                           asio::buffers_begin(buffer_.data()) + static_cast<long>(size));
    buffer_.consume(size);
    return text;
  }
  asio::io_context loop_;
  Local::socket socket_{loop_};
  asio::streambuf buffer_;
};

std::string first_line(const std::string& text) {
  return text.substr(0, text.find("\r\n"));
}

constexpr const char* kHealth = "/api/v1/recovery/health";

TEST(Server, AnswersAndKeepsAlive) {
  Daemon daemon;
  Talk talk(daemon.serve());
  for (int i = 0; i < 3; ++i) {
    talk.get(kHealth);
    const std::string answer = talk.hear();
    EXPECT_EQ(first_line(answer), "HTTP/1.1 200 OK");
    EXPECT_NE(answer.find("\"status\":\"healthy\""), std::string::npos);
  }
}

TEST(Server, RefusesWhatIsNotHttp) {
  Daemon daemon;
  const std::string socket = daemon.serve();
  const std::string bad[] = {"nonsense\r\n\r\n", "GET  HTTP/9.9\r\n\r\n",
                             std::string("\x16\x03\x01\x02\r\n\r\n", 8),
                             "POST /x HTTP/1.1\r\nContent-Length: -1\r\n\r\n"};
  for (const std::string& text : bad) {
    Talk talk(socket);
    talk.say(text);
    EXPECT_EQ(first_line(talk.hear()), "HTTP/1.1 400 Bad Request") << text;
    EXPECT_TRUE(talk.closed());
  }
  Talk odd(socket);
  odd.say("PATCH / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(first_line(odd.hear()), "HTTP/1.1 405 Method Not Allowed");
  odd.get("/%zz?%");
  EXPECT_EQ(first_line(odd.hear()), "HTTP/1.1 400 Bad Request");
}

TEST(Server, RefusesWhatIsTooLarge) {
  Daemon daemon;
  const std::string socket = daemon.serve();
  Talk body(socket);
  body.say("POST /api/v1/recovery/trigger HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
  EXPECT_EQ(first_line(body.hear()), "HTTP/1.1 413 Payload Too Large");
  Talk header(socket);
  header.say("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n");
  EXPECT_EQ(first_line(header.hear()), "HTTP/1.1 431 Request Header Fields Too Large");
}

TEST(Server, ASlowClientHoldsUpNobodyAndIsDropped) {
  Daemon daemon;
  const std::string socket = daemon.serve({.socket = {}, .read_timeout = 300ms});
  Talk slow(socket);
  slow.say("GET /api/v1/rec");
  Talk quick(socket);
  quick.get(kHealth);
  EXPECT_EQ(first_line(quick.hear()), "HTTP/1.1 200 OK");
  EXPECT_TRUE(slow.closed());
}

TEST(Server, ViewersMayOnlyLook) {
  Daemon daemon;
  ServerOptions options;
  options.role_of = [](uid_t) { return Role::Viewer; };
  Talk talk(daemon.serve(std::move(options)));
  talk.get("/api/v1/recovery/services");
  EXPECT_EQ(first_line(talk.hear()), "HTTP/1.1 200 OK");
  talk.say("POST /api/v1/recovery/services/web/stop HTTP/1.1\r\nHost: x\r\n\r\n");
  const std::string refused = talk.hear();
  EXPECT_EQ(first_line(refused), "HTTP/1.1 403 Forbidden");
  EXPECT_NE(refused.find("application/problem+json"), std::string::npos);
}

TEST(Server, TooManyConnectionsAreToldSo) {
  Daemon daemon;
  const std::string socket = daemon.serve();
  std::vector<std::unique_ptr<Talk>> talks;
  for (std::size_t i = 0; i < Server::kConnectionsMax; ++i) {
    talks.push_back(std::make_unique<Talk>(socket));
    talks.back()->get(kHealth);
    ASSERT_EQ(first_line(talks.back()->hear()), "HTTP/1.1 200 OK");
  }
  Talk over(socket);
  EXPECT_EQ(first_line(over.hear()), "HTTP/1.1 503 Service Unavailable");
}

TEST(Server, ViewersCannotLockOperatorsOut) {
  Daemon daemon;
  ServerOptions options;
  options.role_of = [](uid_t) { return Role::Viewer; };
  const std::string socket = daemon.serve(std::move(options));
  std::vector<std::unique_ptr<Talk>> talks;
  for (std::size_t i = 0; i < Server::kViewerConnectionsMax; ++i) {
    talks.push_back(std::make_unique<Talk>(socket));
    talks.back()->get(kHealth);
    ASSERT_EQ(first_line(talks.back()->hear()), "HTTP/1.1 200 OK");
  }
  Talk over(socket);
  EXPECT_EQ(first_line(over.hear()), "HTTP/1.1 503 Service Unavailable");
}

TEST(Server, StreamsEvents) {
  Daemon daemon;
  Talk talk(daemon.serve({.socket = {}, .stream_poll = 5ms, .heartbeat = 20ms}));
  talk.get("/api/v1/recovery/events/stream?service=web");
  EXPECT_EQ(talk.line(), "HTTP/1.1 200 OK\r");
  while (talk.line() != ": hb") {  // It follows from now on.
  }
  daemon.act([&] { daemon.crash(Daemon::kWeb); });
  std::string line;
  while (!line.starts_with("data: {\"id\":")) line = talk.line();
  EXPECT_NE(line.find("\"service\":\"web\""), std::string::npos);
}

TEST(Server, OneDaemonASocket) {
  Daemon daemon;
  const std::string socket = daemon.serve();
  struct stat status {};
  ASSERT_EQ(::stat(socket.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0660U);
  Daemon other;
  asio::io_context loop;
  const auto second = Server::listen(loop, {.socket = socket}, other.backend());
  ASSERT_FALSE(second.has_value());
  EXPECT_NE(second.error().find("another recoverd"), std::string::npos);
  EXPECT_FALSE(Server::listen(loop, {.socket = "/dev/null"}, other.backend()).has_value());
  EXPECT_FALSE(
      Server::listen(loop, {.socket = std::string(200, 'x')}, other.backend()).has_value());
  EXPECT_FALSE(Server::listen(loop, {.socket = "/nowhere/at/all"}, other.backend()).has_value());
}

TEST(Server, ADeadSocketIsReplaced) {
  Daemon daemon;
  const std::string path = daemon.serve() + ".dead";
  {
    asio::io_context loop;
    Local::acceptor left_behind(loop, Local::endpoint(path));
  }
  asio::io_context loop;
  Daemon other;
  EXPECT_TRUE(Server::listen(loop, {.socket = path}, other.backend()).has_value());
}

}  // namespace
}  // namespace recover::api
