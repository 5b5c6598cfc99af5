// Real stores for tests: a folder, an S3 server, an SFTP server, each with nothing in it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "backup/store/local_store.h"
#include "backup/store/s3/s3_store.h"
#include "backup/store/sftp/sftp_store.h"
#include "test/temp_folder.h"

namespace recover::test {

// A program with a pipe to its standard input and one from its output; killed with this.
class Server {
 public:
  Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { kill(); }

  void start(const std::vector<std::string>& command) {
    int in[2];
    int out[2];
    if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return;
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(127);
      ::dup2(in[0], 0);
      ::dup2(out[1], 1);
      std::vector<char*> words;
      for (const std::string& word : command) words.push_back(const_cast<char*>(word.c_str()));
      words.push_back(nullptr);
      ::execvp(words[0], words.data());
      ::_exit(127);
    }
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
  }
  // The next line it prints; what there is when it ends.
  std::string line() const {
    std::string text;
    char c = '\0';
    while (::read(output_, &c, 1) == 1 && c != '\n') text += c;
    return text;
  }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    ::close(input_);
    ::close(output_);
    pid_ = -1;
  }
  void signal(int number) const { ::kill(pid_, number); }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int input_ = -1;
  int output_ = -1;
};

// OpenStack Swift with its S3 API (docs/adr/0026): by HTTP and by HTTPS.
class S3Server {
 public:
  static constexpr const char* kMissing = "python3-swift is not installed";
  static bool is_installed() {
    return std::filesystem::exists("/usr/lib/python3/dist-packages/swift/obj/server.py") &&
           std::filesystem::exists("/usr/bin/python3");
  }

  // Also again after kill(): at the same ports, with the same objects.
  bool start() {
    std::vector<std::string> command = {"/usr/bin/python3", "-B", "test/s3/swift_server.py",
                                        folder_.path()};
    command[2] = std::string(RECOVER_SOURCE_DIR) + "/" + command[2];
    if (!http.empty()) command.insert(command.end(), {http, https});
    server_.start(command);
    const std::string said = server_.line();
    if (!said.starts_with("ready ")) return false;
    const std::size_t space = said.rfind(' ');
    http = said.substr(6, space - 6);
    https = said.substr(space + 1);
    return true;
  }
  void kill() { server_.kill(); }
  const Server& process() const { return server_; }

  backup::s3::S3Options options(const std::string& prefix, bool tls = false) const {
    const auto location = backup::s3::Location::parse(url(prefix, tls));
    backup::s3::S3Options options{
        .location = *location,
        .credentials = {.access_key = "test:tester", .secret_key = base::Secret("testing")}};
    options.http.ca_file = certificate();
    return options;
  }
  std::string url(const std::string& prefix, bool tls) const {
    return std::string(tls ? "s3:https" : "s3:http") + "://127.0.0.1:" + (tls ? https : http) +
           "/backups/" + prefix;
  }
  std::string certificate() const { return folder_ / "cert.pem"; }
  // The requests that it has answered.
  std::string log_path() const { return folder_ / "requests.log"; }

  std::string http;
  std::string https;

 private:
  TempFolder folder_{TempFolder::memory()};
  Server server_;
};

// OpenSSH's own SFTP server, without ssh around it.
inline constexpr const char* kSftpServer = "/usr/lib/openssh/sftp-server";
inline bool has_sftp_server() {
  return std::filesystem::exists(kSftpServer);
}

inline backup::sftp::SftpOptions sftp_options(const std::string& folder) {
  backup::sftp::SftpOptions options;
  options.location.host = "here";
  options.location.path = folder;
  options.command = {kSftpServer};
  return options;
}

}  // namespace recover::test
