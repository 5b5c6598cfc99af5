// A Redis of the test's own, on a free port, that keeps nothing.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "test/servers/child.h"

namespace recover::test {

class RedisServer {
 public:
  explicit RedisServer(std::vector<std::string> options = {}) : options_(std::move(options)) {
    RECOVER_CHECK(eventually([this] {
      port_ = free_port();
      start();
      return eventually([this] { return listens(port_) || child_.ended(); }) && child_.pid() > 0;
    }));
  }

  std::uint16_t port() const { return port_; }
  Child& child() { return child_; }
  // On the same port, after the child was ended.
  void start() {
    std::vector<std::string> command = {
        "redis-server", "--port", std::to_string(port_), "--bind", "127.0.0.1",
        "--save",       "",       "--appendonly",        "no",     "--dir",
        dir_.path()};
    command.insert(command.end(), options_.begin(), options_.end());
    child_ = Child(command, dir_ / "log");
  }
  bool wait_ready() {
    return eventually([this] { return listens(port_); });
  }
  // redis-cli with these words.
  int cli(std::vector<std::string> words) const {
    std::vector<std::string> command = {"redis-cli", "-p", std::to_string(port_)};
    command.insert(command.end(), words.begin(), words.end());
    return run(command);
  }

 private:
  TempDir dir_;
  std::vector<std::string> options_;
  std::uint16_t port_ = 0;
  Child child_;
};

}  // namespace recover::test
