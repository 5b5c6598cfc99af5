#include "apps/recoverd_backup/sources/postgres_source.h"

#include <algorithm>
#include <utility>

#include "apps/recoverd_backup/sources/postgres_drill.h"
#include "apps/recoverd_backup/sources/postgres_programs.h"
#include "apps/recoverd_backup/sources/program_dump.h"

namespace recover::apps {
namespace {

using backup::Outcome;

class PostgresDumps final : public Source {
 public:
  PostgresDumps(const core::PostgresSource& source, std::stop_token stop)
      : source_(source), stop_(std::move(stop)) {}

  std::vector<std::string> secrets() const override {
    std::vector<std::string> all = {source_.dsn.reveal()};
    if (const auto target = postgres_target(source_.dsn)) all.push_back(target->password);
    return all;
  }

  Outcome<std::vector<DumpFile>> files() override {
    const auto target = postgres_target(source_.dsn);
    if (!target) return Unexpected(target.error());
    if (auto kept = keep_password(target->password); !kept) return Unexpected(kept.error());
    if (source_.method == core::PostgresMethod::Basebackup) return basebackup(*target);
    auto databases = source_.databases;
    if (databases.empty()) {
      auto all = all_databases(*target);
      if (!all) return Unexpected(std::move(all.error()));
      databases = std::move(*all);
    }
    std::vector<DumpFile> files;
    if (source_.roles != core::PostgresRoles::None) files.push_back(globals(*target));
    for (const std::string& database : databases) files.push_back(dump(*target, database));
    return files;
  }

  Outcome<DrillAnswer> drill(const ScratchFolder& folder, const std::vector<std::string>& files,
                             const std::string& query) override {
    const auto target = postgres_target(source_.dsn);
    if (!target) return Unexpected(target.error());
    PostgresDrill drill{.folder = folder, .query = query, .user = target->user, .stop = stop_};
    drill.database = !source_.databases.empty() ? source_.databases.front() : target->database;
    return source_.method == core::PostgresMethod::Basebackup
               ? drill_basebackup(drill, files.front())
               : drill_dumps(drill, files);
  }

 private:
  Outcome<void> keep_password(const std::string& password) {
    if (password.empty()) return {};
    const auto text = password_file(password);
    if (!text) {
      return backup::fail(backup::FailureKind::Invalid, "the password has a line end in it");
    }
    auto file = secret_file(*text, nullptr);
    if (!file) return Unexpected(std::move(file.error()));
    password_ = std::move(*file);
    return {};
  }

  // `--no-password`: never asked for at a terminal.
  ProgramSpec program(const PostgresTarget& target, const std::string& name,
                      const std::vector<std::string>& words, const std::string& database) const {
    ProgramSpec spec{.command = {postgres_program(name), "--no-password"}};
    spec.variables = target.variables;
    if (password_) {
      spec.handed = {password_.get()};
      // First, for the first of a name counts: a password given goes before a file given.
      spec.variables.insert(
          spec.variables.begin(),
          {"PGPASSWORD=", "PGPASSFILE=/proc/self/fd/" + std::to_string(ProgramSpec::kHandedFirst)});
    }
    spec.command.insert(spec.command.end(), words.begin(), words.end());
    std::string connection = target.rest;
    if (!database.empty()) connection += conninfo("dbname", database);
    if (!connection.empty()) spec.command.push_back("--dbname=" + connection);
    return spec;
  }

  Outcome<std::vector<std::string>> all_databases(const PostgresTarget& target) const {
    const std::string kAll =
        "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1";
    const auto text =
        text_of(program(target, "psql",
                        {"--no-psqlrc", "--no-align", "--tuples-only", "--quiet",
                         "--record-separator-zero", "--set=ON_ERROR_STOP=1", "--command=" + kAll},
                        target.database.empty() ? "postgres" : target.database),
                stop_);
    if (!text) return Unexpected(text.error());
    std::vector<std::string> names;
    for (auto from = text->begin(); from != text->end();) {
      const auto end =
          std::find_if(from, text->end(), [](char c) { return c == '\0' || c == '\n'; });
      if (end != from) names.emplace_back(from, end);
      from = end == text->end() ? end : end + 1;
    }
    if (names.empty()) {
      return backup::fail(backup::FailureKind::NotFound, "the server has no database to dump");
    }
    return names;
  }

  DumpFile globals(const PostgresTarget& target) const {
    std::vector<std::string> words = {"--globals-only"};
    if (source_.roles == core::PostgresRoles::WithoutPasswords) {
      words.emplace_back("--no-role-passwords");
    }
    return {.name = "globals.sql",
            .open = dump_later(program(target, "pg_dumpall", words, target.database), stop_,
                               "PostgreSQL database cluster dump complete")};
  }

  DumpFile dump(const PostgresTarget& target, const std::string& database) const {
    return {.name = as_file_name(database) + ".dump",
            .open = dump_later(
                program(target, "pg_dump", {"--format=custom", "--compress=0"}, database), stop_)};
  }

  Outcome<std::vector<DumpFile>> basebackup(const PostgresTarget& target) const {
    return std::vector<DumpFile>{
        {.name = "cluster.tar",
         .open = dump_later(program(target, "pg_basebackup",
                                    {"--pgdata=-", "--format=tar", "--wal-method=fetch",
                                     "--checkpoint=fast", "--no-slot"},
                                    ""),
                            stop_)}};
  }

  const core::PostgresSource& source_;
  std::stop_token stop_;
  posix::Descriptor password_;  // A file in memory; none: no password is told.
};

constexpr std::string_view kHexDigits = "0123456789ABCDEF";

}  // namespace

std::unique_ptr<Source> make_postgres_source(const core::PostgresSource& source,
                                             std::stop_token stop) {
  return std::make_unique<PostgresDumps>(source, std::move(stop));
}

std::string as_file_name(const std::string& name) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
  std::string text;
  for (const char c : name) {
    if (kPlain.find(c) != std::string_view::npos) {
      text += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      text += {'%', kHexDigits[byte >> 4U], kHexDigits[byte & 15U]};
    }
  }
  return text;
}

std::string from_file_name(std::string_view name) {
  std::string text;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const auto high = i + 2 < name.size() ? kHexDigits.find(name[i + 1]) : std::string_view::npos;
    const auto low = i + 2 < name.size() ? kHexDigits.find(name[i + 2]) : std::string_view::npos;
    if (name[i] != '%' || high == std::string_view::npos || low == std::string_view::npos) {
      text += name[i];
      continue;
    }
    text += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return text;
}

}  // namespace recover::apps
