// What is told of containers when the engine is slow to say, or says it of another one: against a
// stand-in for Podman's end of the socket.
#include "adapters/container/containers.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "test/temp_folder.h"

namespace recover::adapters::container {
namespace {

namespace asio = boost::asio;
using asio::local::stream_protocol;
using core::OwnerVerdict;

// One container, called web; answers every question with what it is now.
class PodmanStandIn {
 public:
  PodmanStandIn(asio::io_context& loop, const std::string& path)
      : acceptor_(loop, stream_protocol::endpoint(path)) {
    accept();
  }
  void becomes(const std::string& id, const std::string& status, int code = 0) {
    container_ = R"({"Id":")" + id + R"(","Name":"web","State":{"Status":")" + status +
                 R"(","Pid":42,"StartedAt":"2026","ExitCode":)" + std::to_string(code) +
                 R"(},"HostConfig":{"RestartPolicy":{"Name":"no"}}})";
  }
  void tells(const std::string& id, const std::string& action) {
    const std::string line = R"({"Type":"container","Action":")" + action + R"(","Actor":{"ID":")" +
                             id + R"(","Attributes":{"name":"web"}}})" + "\n";
    ASSERT_TRUE(events_);
    asio::write(*events_, asio::buffer(line));
  }
  bool is_heard() const { return events_ != nullptr; }
  void hangs_up() { events_.reset(); }

 private:
  using Socket = std::shared_ptr<stream_protocol::socket>;

  void accept() {
    acceptor_.async_accept([this](boost::system::error_code error, stream_protocol::socket made) {
      if (error) return;
      serve(std::make_shared<stream_protocol::socket>(std::move(made)));
      accept();
    });
  }
  void serve(const Socket& socket) {
    auto asked = std::make_shared<std::string>();
    asio::async_read_until(*socket, asio::dynamic_buffer(*asked), "\r\n\r\n",
                           [this, socket, asked](boost::system::error_code error, std::size_t) {
                             if (!error) answer(socket, asked->starts_with("GET /events"));
                           });
  }
  void answer(const Socket& socket, bool stream) {
    const std::string head = "HTTP/1.1 200 OK\r\nServer: Libpod/4.3.1 (linux)\r\n";
    const std::string length = "Content-Length: " + std::to_string(container_.size()) + "\r\n";
    asio::write(*socket, asio::buffer(head + (stream ? "\r\n" : length + "\r\n" + container_)));
    if (stream) events_ = socket;
  }

  stream_protocol::acceptor acceptor_;
  Socket events_;
  std::string container_;
};

class ContainersTest : public testing::Test {
 protected:
  ContainersTest() : podman_(loop_, folder_ / "socket") {
    core::ServicePolicy& service = policy_.services.emplace_back();
    service.name = "web";
    core::ContainerSpec spec;
    spec.container = "web";
    spec.socket = folder_ / "socket";
    service.spec = spec;
  }
  void watch() {
    containers_.watch(policy_);
    ASSERT_TRUE(run_until([this] { return podman_.is_heard() && last() == OwnerVerdict::Up; }));
  }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < until) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(100));
    }
    return condition();
  }
  OwnerVerdict last() const { return told_.empty() ? OwnerVerdict::Lost : told_.back(); }
  // Of a run that ends by itself Podman tells `died` and one `cleanup`.
  void ends_by_itself(const std::string& id) {
    podman_.becomes(id, "exited", 1);
    podman_.tells(id, "died");
    podman_.tells(id, "cleanup");
    const std::size_t before = told_.size();
    EXPECT_TRUE(run_until([&] { return told_.size() > before; }));
    EXPECT_EQ(last(), OwnerVerdict::Failed) << "nobody stopped it";
  }

  const test::TempFolder folder_;
  asio::io_context loop_{1};
  PodmanStandIn podman_;
  core::Policy policy_;
  std::vector<OwnerVerdict> told_;
  Containers containers_{loop_,
                         {.sink =
                              [this](core::Event event) {
                                const auto* told = std::get_if<core::OwnerReported>(&event);
                                if (told != nullptr) told_.push_back(told->verdict);
                              },
                          .now = [] { return std::chrono::steady_clock::now(); },
                          .start_time_of = [](std::int64_t) { return std::uint64_t{7}; },
                          .problem = [](const std::string&) {}}};
};

TEST_F(ContainersTest, CleanUpsOfAContainerAreNotThoseOfTheNextOne) {
  podman_.becomes("aaa", "running");
  watch();
  podman_.tells("aaa", "cleanup");
  podman_.tells("aaa", "remove");
  podman_.becomes("bbb", "running");
  podman_.tells("bbb", "start");  // Before it is known who that is.
  const std::size_t before = told_.size();
  ASSERT_TRUE(run_until([&] { return told_.size() > before; }));
  ends_by_itself("bbb");
}

TEST_F(ContainersTest, CleanUpsBeforeTheEngineWasLostCountNoMore) {
  podman_.becomes("aaa", "running");
  watch();
  podman_.tells("aaa", "cleanup");
  loop_.restart();
  loop_.run_for(std::chrono::milliseconds(50));
  podman_.hangs_up();
  ASSERT_TRUE(run_until([this] { return last() == OwnerVerdict::Lost; }));
  ASSERT_TRUE(run_until([this] { return podman_.is_heard() && last() == OwnerVerdict::Up; }));
  ends_by_itself("aaa");
}

}  // namespace
}  // namespace recover::adapters::container
