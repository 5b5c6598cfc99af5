// A PostgreSQL 15 of the test's own: a fresh cluster in a temporary folder, reached by its unix
// socket, without durability. As root it runs as the user postgres.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "test/servers/child.h"

namespace recover::test {

class PostgresServer {
 public:
  PostgresServer() {
    std::filesystem::create_directories(dir_ / "socket");
    std::filesystem::create_directories(dir_ / "data");
    if (::geteuid() == 0) {
      RECOVER_CHECK(run({"chown", "postgres:postgres", dir_ / "socket", dir_ / "data"}) == 0);
    }
    const int made = run(as_owner({kBin + "initdb", "-A", "trust", "-U", "postgres", "-N", "-D",
                                   dir_ / "data", "--locale=C", "-E", "UTF8"}),
                         dir_ / "initdb.log");
    RECOVER_CHECK(made == 0);
    start();
    RECOVER_CHECK(wait_ready());
  }
  // Fast shutdown, so that no backend outlives the test.
  ~PostgresServer() { child_.end(SIGINT); }

  std::string socket_dir() const { return dir_ / "socket"; }
  std::string dsn() const { return "host=" + socket_dir() + " user=postgres dbname=postgres"; }
  Child& child() { return child_; }
  const TempDir& dir() const { return dir_; }

  // After the child was ended.
  void start() {
    child_ = Child(as_owner({kBin + "postgres", "-D", dir_ / "data", "-k", socket_dir(), "-c",
                             "listen_addresses=", "-c", "fsync=off", "-c", "deadlock_timeout=100ms",
                             "-c", "lc_messages=C"}),
                   "/dev/null");
  }
  bool wait_ready() {
    return eventually([this] { return sql("SELECT 1") == 0; });
  }
  // psql's exit status.
  int sql(const std::string& statement) const { return run(psql(statement)); }
  // A psql that runs on: it holds what it locked until it is ended.
  Child session(const std::string& statement) const { return Child(psql(statement), "/dev/null"); }
  // Polls until the statement yields a row.
  bool eventually_true(const std::string& condition) const {
    return eventually(
        [&] { return sql("SELECT 1/(CASE WHEN " + condition + " THEN 1 ELSE 0 END)") == 0; });
  }

 private:
  inline static const std::string kBin = "/usr/lib/postgresql/15/bin/";

  static std::vector<std::string> as_owner(std::vector<std::string> command) {
    if (::geteuid() != 0) return command;
    std::vector<std::string> all = {"setpriv", "--reuid=postgres", "--regid=postgres",
                                    "--clear-groups"};
    all.insert(all.end(), command.begin(), command.end());
    return all;
  }
  std::vector<std::string> psql(const std::string& statement) const {
    return {kBin + "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", dsn(), "-c", statement};
  }

  TempDir dir_;
  Child child_;
};

}  // namespace recover::test
