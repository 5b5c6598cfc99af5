#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <utility>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

struct TcpAttempt : std::enable_shared_from_this<TcpAttempt> {
  TcpAttempt(asio::io_context& loop, std::string where_text, Found done)
      : resolver(loop), socket(loop), where(std::move(where_text)), found(std::move(done)) {}

  void start(const std::string& host, const std::string& port) {
    resolver.async_resolve(
        host, port,
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (error || !self->found) return self->finish(error);
          asio::async_connect(self->socket, to, [self](error_code result, const tcp::endpoint&) {
            self->finish(result);
          });
        });
  }
  void finish(error_code error) {
    const Found done = std::exchange(found, nullptr);
    error_code ignored;
    socket.close(ignored);
    if (!done) return;
    if (!error) return done(passed());
    if (error.category() == boost::system::system_category()) {
      return done(of_errno(error.value(), where));
    }
    done(failed(core::Symptom::ProbeFailed, core::FailureClass::Connection,
                where + ": " + error.message()));
  }
  void abandon() {
    found = nullptr;
    resolver.cancel();
    error_code ignored;
    socket.close(ignored);
  }

  tcp::resolver resolver;
  tcp::socket socket;
  std::string where;
  Found found;
};

class TcpRunner final : public ProbeRunner {
 public:
  TcpRunner(core::TcpProbe probe, asio::io_context& loop) : probe_(std::move(probe)), loop_(loop) {}
  ~TcpRunner() override { abandon(); }

  void run(Found found) override {
    attempt_ = std::make_shared<TcpAttempt>(loop_, where(), std::move(found));
    attempt_->start(probe_.host, std::to_string(probe_.port));
  }
  Finding give_up() override {
    abandon();
    return silent(where() + ": no connection in time");
  }

 private:
  std::string where() const { return probe_.host + ":" + std::to_string(probe_.port); }
  void abandon() {
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  core::TcpProbe probe_;
  asio::io_context& loop_;
  std::shared_ptr<TcpAttempt> attempt_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_tcp(const core::TcpProbe& probe, const Tools& tools) {
  return std::make_unique<TcpRunner>(probe, tools.loop);
}

}  // namespace recover::adapters::probe
