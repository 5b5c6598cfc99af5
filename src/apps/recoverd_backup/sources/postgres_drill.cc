#include "apps/recoverd_backup/sources/postgres_drill.h"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "apps/recoverd_backup/sources/postgres_programs.h"
#include "apps/recoverd_backup/sources/postgres_source.h"
#include "apps/recoverd_backup/sources/program_dump.h"
#include "apps/recoverd_backup/sources/scratch_server.h"
#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

constexpr const char* kCountTables =
    "SELECT count(*) FROM information_schema.tables "
    "WHERE table_schema NOT IN ('pg_catalog', 'information_schema')";

std::string without_line_end(std::string text) {
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// A scratch server in the making. One drill.
class Cluster {
 public:
  explicit Cluster(const PostgresDrill& drill)
      : drill_(drill), account_(Account::first_of({"postgres", "nobody"})) {}

  Outcome<void> begin() {
    if (account_ && ::chown(drill_.folder.path().c_str(), account_->uid, account_->gid) != 0) {
      return backup::system_failure("giving away", drill_.folder.path());
    }
    for (const char* const name : {"data", "socket"}) {
      if (auto made = drill_.folder.make_folder(name, account()); !made) return made;
    }
    const std::string kFiles = "hba_file = '" + ScratchFolder::handed("hba") + "'\nident_file = '" +
                               ScratchFolder::handed("ident") + "'\n";
    if (auto done = drill_.folder.write("conf", kFiles, account()); !done) return done;
    if (auto done = drill_.folder.write("ident", "", account()); !done) return done;
    return drill_.folder.write("hba", "local all all trust\n", account());
  }

  Outcome<std::string> run(std::vector<std::string> command, int input = -1) const {
    ProgramSpec spec{.command = std::move(command)};
    spec.input = input;
    spec.handed = {drill_.folder.descriptor()};
    spec.account = account();
    spec.folder = "/";
    spec.variables = {"LC_MESSAGES=C", "HOME=/"};
    return text_of(std::move(spec), drill_.stop);
  }

  Outcome<void> start(const std::string& major) {
    ProgramSpec spec{.command = {postgres_program("postgres", major), "-D",
                                 ScratchFolder::handed("data"), "-k",
                                 ScratchFolder::handed("socket")}};
    for (const std::string& setting : {"config_file=" + ScratchFolder::handed("conf"),
                                       std::string("listen_addresses="),
                                       std::string("port=5432"),
                                       std::string("ssl=off"),
                                       std::string("archive_mode=off"),
                                       std::string("shared_preload_libraries="),
                                       std::string("session_preload_libraries="),
                                       std::string("local_preload_libraries="),
                                       std::string("logging_collector=off"),
                                       std::string("log_destination=stderr"),
                                       std::string("max_logical_replication_workers=0"),
                                       std::string("max_wal_senders=0"),
                                       std::string("primary_conninfo="),
                                       std::string("synchronous_standby_names="),
                                       std::string("hot_standby=off"),
                                       std::string("autovacuum=off"),
                                       std::string("fsync=off"),
                                       std::string("shared_buffers=16MB"),
                                       std::string("max_connections=20"),
                                       std::string("max_prepared_transactions=100"),
                                       std::string("huge_pages=off"),
                                       std::string("external_pid_file="),
                                       std::string("lc_messages=C")}) {
      spec.command.insert(spec.command.end(), {"-c", setting});
    }
    spec.handed = {drill_.folder.descriptor()};
    spec.account = account();
    spec.folder = "/";
    auto server = ScratchServer::start(
        spec, [this] { return answers(); }, drill_.stop);
    if (!server) return Unexpected(std::move(server.error()));
    server_ = std::move(*server);
    return {};
  }

  Outcome<std::string> ask(const std::string& database, const std::string& sql) const {
    auto answer = run(client(
        "psql", database,
        {"--no-align", "--tuples-only", "--quiet", "--set=ON_ERROR_STOP=1", "--command=" + sql}));
    if (!answer) return Unexpected(Failure(std::move(answer.error())));
    return without_line_end(std::move(*answer));
  }

  std::vector<std::string> client(const std::string& program, const std::string& database,
                                  const std::vector<std::string>& words) const {
    std::vector<std::string> command = {postgres_program(program), "--no-password"};
    if (program == "psql") command.emplace_back("--no-psqlrc");
    command.push_back("--dbname=" + conninfo("host", ScratchFolder::handed("socket")) + " " +
                      conninfo("user", user_) + " port=5432 " + conninfo("dbname", database));
    command.insert(command.end(), words.begin(), words.end());
    return command;
  }

  const Account* account() const { return account_ ? &*account_ : nullptr; }

 private:
  using Failure = backup::Failure;

  // Who may connect is not told by a cluster that does not run: it was made by `postgres`, or by
  // whoever the backup was made as.
  bool answers() {
    for (const std::string& user : {std::string("postgres"), drill_.user}) {
      if (user.empty()) continue;
      user_ = user;
      if (ask("postgres", "SELECT 1") || ask("template1", "SELECT 1")) return true;
    }
    return false;
  }

  const PostgresDrill& drill_;
  std::optional<Account> account_;
  std::string user_ = "postgres";
  std::unique_ptr<ScratchServer> server_;
};

Outcome<posix::Descriptor> opened(const std::string& path) {
  posix::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return backup::system_failure("opening", path);
  return file;
}

// Roles without tablespaces: those would be made where the real ones lie.
Outcome<void> restore_globals(const PostgresDrill& drill, const Cluster& cluster,
                              const std::string& file) {
  std::ifstream in(drill.folder / file);
  std::string kept;
  for (std::string line; std::getline(in, line);) {
    if (line.find(" TABLESPACE ") == std::string::npos) kept += line + "\n";
  }
  if (auto written = drill.folder.write("roles.sql", kept, cluster.account()); !written) {
    return written;
  }
  // Without ON_ERROR_STOP: the role `postgres` is there already.
  auto done = cluster.run(cluster.client(
      "psql", "postgres", {"--quiet", "--file=" + ScratchFolder::handed("roles.sql")}));
  if (!done) return Unexpected(std::move(done.error()));
  return {};
}

// Empty: it has another.
std::string without_ending(const std::string& file, const std::string& ending) {
  return file.ends_with(ending) ? file.substr(0, file.size() - ending.size()) : std::string();
}

Outcome<std::string> restore_databases(const PostgresDrill& drill, const Cluster& cluster,
                                       const std::vector<std::string>& files,
                                       std::vector<std::string>& databases) {
  for (const std::string& file : files) {
    if (file == "globals.sql") {
      if (auto done = restore_globals(drill, cluster, file); !done) {
        return Unexpected(std::move(done.error()));
      }
    }
  }
  for (const std::string& file : files) {
    const std::string name = without_ending(file, ".dump");
    if (name.empty()) continue;
    const auto input = opened(drill.folder / file);
    if (!input) return Unexpected(input.error());
    databases.push_back(from_file_name(name));
    std::vector<std::string> words = {"--exit-on-error", "--no-tablespaces"};
    // Those are there in each cluster.
    if (databases.back() != "postgres") words.emplace_back("--create");
    auto done = cluster.run(cluster.client("pg_restore", "postgres", words), input->get());
    if (!done) return done;
  }
  return std::string();
}

}  // namespace

Outcome<DrillAnswer> drill_dumps(const PostgresDrill& drill,
                                 const std::vector<std::string>& files) {
  Cluster cluster(drill);
  if (auto begun = cluster.begin(); !begun) return Unexpected(std::move(begun.error()));
  auto made = cluster.run({postgres_program("initdb"), "--pgdata=" + ScratchFolder::handed("data"),
                           "--auth=trust", "--username=postgres", "--no-sync", "--locale=C",
                           "--encoding=UTF8"});
  if (!made) return Unexpected(std::move(made.error()));
  if (auto started = cluster.start(""); !started) return Unexpected(std::move(started.error()));
  std::vector<std::string> databases;
  auto restored = restore_databases(drill, cluster, files, databases);
  if (!restored) return Unexpected(std::move(restored.error()));
  DrillAnswer result{.asked = drill.query, .answer = {}};
  if (!drill.query.empty()) {
    const bool there = std::ranges::find(databases, drill.database) != databases.end();
    auto answer =
        cluster.ask(there || databases.empty() ? drill.database : databases.front(), drill.query);
    if (!answer) return Unexpected(std::move(answer.error()));
    result.answer = std::move(*answer);
    return result;
  }
  result.asked = "how many tables each database has";
  for (const std::string& database : databases) {
    const auto count = cluster.ask(database, kCountTables);
    if (!count) return Unexpected(count.error());
    result.answer += (result.answer.empty() ? "" : ", ") + database + ": " + *count;
  }
  return result;
}

Outcome<DrillAnswer> drill_basebackup(const PostgresDrill& drill, const std::string& file) {
  Cluster cluster(drill);
  if (auto begun = cluster.begin(); !begun) return Unexpected(std::move(begun.error()));
  const auto tar = opened(drill.folder / file);
  if (!tar) return Unexpected(tar.error());
  auto taken =
      cluster.run({"tar", "-x", "-C", ScratchFolder::handed("data"), "-f", "-"}, tar->get());
  if (!taken) return Unexpected(std::move(taken.error()));
  std::error_code ignored;
  std::filesystem::remove(drill.folder / file, ignored);  // It need not lie there twice.
  std::string major;
  std::ifstream(drill.folder / "data/PG_VERSION") >> major;
  const std::string server = postgres_program("postgres", major);
  if (server.empty()) {
    return backup::fail(FailureKind::Unsupported,
                        "PostgreSQL " + major + " is not installed here, which the backup is of");
  }
  if (const std::string verify = postgres_program("pg_verifybackup", major); !verify.empty()) {
    auto sound = cluster.run({verify, "--no-parse-wal", ScratchFolder::handed("data")});
    if (!sound) return backup::fail(FailureKind::Damaged, sound.error().message);
  }
  // It would go on following its primary, or ask the archive.
  for (const char* const name : {"data/standby.signal", "data/recovery.signal"}) {
    std::filesystem::remove(drill.folder / name, ignored);
  }
  if (auto started = cluster.start(major); !started) return Unexpected(std::move(started.error()));
  const bool ours = drill.query.empty();
  const std::string sql =
      ours ? "SELECT string_agg(datname, ', ' ORDER BY datname) FROM pg_database "
             "WHERE NOT datistemplate"
           : drill.query;
  auto answer = cluster.ask(drill.database.empty() ? "postgres" : drill.database, sql);
  if (!answer) return Unexpected(std::move(answer.error()));
  return DrillAnswer{.asked = ours ? "which databases there are" : drill.query,
                     .answer = std::move(*answer)};
}

}  // namespace recover::apps
