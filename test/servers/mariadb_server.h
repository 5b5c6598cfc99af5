// A MariaDB of the test's own in a temporary folder, reached by its socket, without durability.
#pragma once

#include <string>
#include <vector>

#include "test/servers/child.h"

namespace recover::test {

class MariadbServer {
 public:
  MariadbServer() {
    RECOVER_CHECK(run({"mariadb-install-db", "--no-defaults", "--datadir=" + dir_ / "data",
                       "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"},
                      dir_ / "log") == 0);
    child_ = Child({"mariadbd", "--no-defaults", "--user=root", "--datadir=" + dir_ / "data",
                    "--socket=" + socket(), "--skip-networking", "--skip-name-resolve",
                    "--innodb-flush-log-at-trx-commit=0", "--pid-file=" + dir_ / "pid"},
                   dir_ / "log");
    RECOVER_CHECK(eventually([this] { return sql("SELECT 1") == 0 || child_.ended(); }));
  }

  std::string socket() const { return dir_ / "socket"; }
  Child& child() { return child_; }
  // As root. mariadb's exit status.
  int sql(const std::string& statement) const {
    return run({"mariadb", "--no-defaults", "--user=root", "--socket=" + socket(),
                "--execute=" + statement});
  }

 private:
  TempDir dir_;
  Child child_;
};

}  // namespace recover::test
