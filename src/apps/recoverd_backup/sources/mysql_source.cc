#include "apps/recoverd_backup/sources/mysql_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "apps/recoverd_backup/sources/program_dump.h"
#include "apps/recoverd_backup/sources/scratch_server.h"
#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

constexpr const char* kDumpFile = "all.sql";
constexpr const char* kCountMysqlTables =
    "SELECT count(*) FROM information_schema.tables WHERE table_schema NOT IN "
    "('mysql', 'sys', 'information_schema', 'performance_schema')";

// As MariaDB has it, or as MySQL had it.
std::string installed(const std::string& name, const std::string& older) {
  for (const char* const folder : {"/usr/bin/", "/usr/sbin/", "/usr/local/bin/"}) {
    if (::access((folder + name).c_str(), X_OK) == 0) return folder + name;
  }
  return older;
}

std::string quoted(const std::string& text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result + "\"";
}

// What my.cnf has no way to hold.
bool fits_option_file(const std::string& text) {
  return text.find_first_of("\n\r") == std::string::npos;
}

class MysqlDump final : public Source {
 public:
  MysqlDump(const core::MysqlSource& source, std::stop_token stop)
      : source_(source), stop_(std::move(stop)) {}

  std::vector<std::string> secrets() const override { return {source_.password.reveal()}; }

  Outcome<std::vector<DumpFile>> files() override {
    if (!fits_option_file(source_.password.reveal()) || !fits_option_file(source_.user)) {
      return backup::fail(FailureKind::Invalid, "the user or password has a line end in it");
    }
    return std::vector<DumpFile>{{.name = kDumpFile, .open = [this] { return open(); }}};
  }

  Outcome<DrillAnswer> drill(const ScratchFolder& folder, const std::vector<std::string>& files,
                             const std::string& query) override;

 private:
  // Only this file is read: a ~/.my.cnf would overrule a password given here.
  std::string options() const {
    std::string text;
    if (!source_.option_file.empty()) text += "!include " + source_.option_file + "\n";
    text += "[client]\n";
    if (!source_.host.empty()) text += "host=" + quoted(source_.host) + "\n";
    if (!source_.host.empty() && source_.socket.empty()) {
      text += "port=" + std::to_string(source_.port) + "\nprotocol=tcp\n";
    }
    if (!source_.socket.empty()) text += "socket=" + quoted(source_.socket) + "\n";
    if (!source_.user.empty()) text += "user=" + quoted(source_.user) + "\n";
    if (!source_.password.empty()) {
      text += "password=" + quoted(source_.password.reveal()) + "\n";
    }
    return text;
  }

  Outcome<std::unique_ptr<Dump>> open() {
    auto secret = secret_file(options(), nullptr);
    if (!secret) return Unexpected(std::move(secret.error()));
    ProgramSpec spec{
        .command = {installed("mariadb-dump", "mysqldump"),
                    "--defaults-file=/proc/self/fd/" + std::to_string(ProgramSpec::kHandedFirst),
                    "--single-transaction", "--quick", "--routines", "--events", "--triggers",
                    "--hex-blob", "--comments", "--skip-dump-date"}};
    spec.handed = {secret->get()};
    if (source_.databases.empty()) {
      spec.command.emplace_back("--all-databases");
    } else {
      spec.command.emplace_back("--databases");
      spec.command.emplace_back("--");
      spec.command.insert(spec.command.end(), source_.databases.begin(), source_.databases.end());
    }
    return dump_of(std::move(spec), stop_, "-- Dump completed");
  }

  const core::MysqlSource& source_;
  std::stop_token stop_;
};

// A MariaDB in a scratch folder, on a socket in it. As root it stays root, which MariaDB allows
// when it is told to: it resolves the name of its folder, so another user would have to reach it by
// path.
class MysqlCluster {
 public:
  MysqlCluster(const ScratchFolder& folder, const std::stop_token& stop)
      : folder_(folder), stop_(stop) {}

  Outcome<void> start() {
    if (auto made = folder_.make_folder("data", nullptr); !made) return made;
    auto filled =
        run(with_user({installed("mariadb-install-db", "mysql_install_db"), "--no-defaults",
                       "--datadir=" + data(), "--auth-root-authentication-method=normal",
                       "--skip-test-db", "--skip-name-resolve"}));
    if (!filled) return Unexpected(std::move(filled.error()));
    const ProgramSpec spec = with_place(with_user(
        {installed("mariadbd", "mysqld"), "--no-defaults", "--datadir=" + data(),
         "--socket=" + socket(), "--pid-file=" + ScratchFolder::handed("pid"), "--skip-networking",
         "--skip-symbolic-links", "--skip-log-bin", "--skip-slave-start", "--skip-name-resolve",
         "--event-scheduler=OFF", "--innodb-flush-log-at-trx-commit=0",
         "--innodb-buffer-pool-size=64M", "--innodb-doublewrite=OFF", "--performance-schema=OFF",
         "--secure-file-priv=" + data()}));
    auto server = ScratchServer::start(
        spec, [this] { return ask("SELECT 1", "").has_value(); }, stop_);
    if (!server) return Unexpected(std::move(server.error()));
    server_ = std::move(*server);
    return {};
  }

  Outcome<void> load(const std::string& file) const {
    const posix::Descriptor sql(::open((folder_ / file).c_str(), O_RDONLY | O_CLOEXEC));
    if (!sql) return backup::system_failure("opening", folder_ / file);
    auto done = run(client({"--binary-mode"}), sql.get());
    if (!done) return Unexpected(std::move(done.error()));
    return {};
  }

  Outcome<std::string> ask(const std::string& sql, const std::string& database) const {
    std::vector<std::string> words = {"--skip-column-names", "--batch", "--execute=" + sql};
    if (!database.empty()) words.push_back("--database=" + database);
    auto answer = run(client(words));
    if (!answer) return answer;
    while (answer->ends_with('\n')) answer->pop_back();
    return answer;
  }

 private:
  static std::vector<std::string> with_user(std::vector<std::string> command) {
    if (::geteuid() == 0) command.emplace_back("--user=root");
    return command;
  }
  std::string data() const { return folder_ / "data"; }
  static std::string socket() { return ScratchFolder::handed("socket"); }

  ProgramSpec with_place(std::vector<std::string> command) const {
    ProgramSpec spec{.command = std::move(command)};
    spec.handed = {folder_.descriptor()};
    spec.folder = "/";
    return spec;
  }
  Outcome<std::string> run(std::vector<std::string> command, int input = -1) const {
    ProgramSpec spec = with_place(std::move(command));
    spec.input = input;
    return text_of(std::move(spec), stop_);
  }
  static std::vector<std::string> client(const std::vector<std::string>& words) {
    std::vector<std::string> command = {installed("mariadb", "mysql"), "--no-defaults",
                                        "--user=root", "--socket=" + socket()};
    command.insert(command.end(), words.begin(), words.end());
    return command;
  }

  const ScratchFolder& folder_;
  const std::stop_token& stop_;
  std::unique_ptr<ScratchServer> server_;
};

Outcome<DrillAnswer> MysqlDump::drill(const ScratchFolder& folder,
                                      const std::vector<std::string>& files,
                                      const std::string& query) {
  MysqlCluster cluster(folder, stop_);
  if (auto started = cluster.start(); !started) return Unexpected(std::move(started.error()));
  if (auto loaded = cluster.load(files.front()); !loaded) {
    return backup::fail(FailureKind::Damaged, loaded.error().message);
  }
  const std::string database =
      query.empty() || source_.databases.empty() ? std::string() : source_.databases.front();
  auto answer = cluster.ask(query.empty() ? kCountMysqlTables : query, database);
  if (!answer) return Unexpected(std::move(answer.error()));
  return DrillAnswer{.asked = query.empty() ? "how many tables there are" : query,
                     .answer = std::move(*answer)};
}

}  // namespace

std::unique_ptr<Source> make_mysql_source(const core::MysqlSource& source, std::stop_token stop) {
  return std::make_unique<MysqlDump>(source, std::move(stop));
}

}  // namespace recover::apps
