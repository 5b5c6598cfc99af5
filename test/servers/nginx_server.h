// An nginx of the test's own, on a free port. `locations` is what goes into its server block.
#pragma once

#include <string>
#include <utility>

#include "test/servers/child.h"

namespace recover::test {

class NginxServer {
 public:
  explicit NginxServer(std::string locations) : locations_(std::move(locations)) {
    RECOVER_CHECK(eventually([this] {
      port_ = free_port();
      start();
      return eventually([this] { return listens(port_) || child_.ended(); }) && child_.pid() > 0;
    }));
  }

  std::uint16_t port() const { return port_; }
  std::string url(const std::string& path, const std::string& user_info = "") const {
    return "http://" + user_info + "127.0.0.1:" + std::to_string(port_) + path;
  }
  std::string access_log() const { return dir_ / "access.log"; }
  const TempDir& dir() const { return dir_; }
  Child& child() { return child_; }

  // One process, so that SIGSTOP stops all of it.
  void start() {
    dir_.write("nginx.conf", "daemon off; master_process off; pid " + dir_ / "pid" +
                                 "; error_log " + dir_ / "error.log" + "; events {} http { " +
                                 temporary() + " access_log " + dir_ / "access.log" +
                                 " plain; server { listen 127.0.0.1:" + std::to_string(port_) +
                                 "; " + locations_ + " } }");
    child_ = Child(
        {"/usr/sbin/nginx", "-p", dir_.path(), "-c", dir_ / "nginx.conf", "-e", dir_ / "error.log"},
        dir_ / "out");
  }

 private:
  std::string temporary() const {
    std::string text =
        "log_format plain '$request $status $http_idempotency_key $http_authorization';";
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      text += std::string(" ") + kind + "_temp_path " + dir_.path() + "/" + kind + ";";
    }
    return text;
  }

  TempDir dir_;
  std::string locations_;
  std::uint16_t port_ = 0;
  Child child_;
};

}  // namespace recover::test
