#include "config/backup_source_tables.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

constexpr std::uint16_t kSourcePortMax = 65535;

// `all`, or a list of names; all is an empty list.
Codec<std::vector<std::string>> databases() {
  const auto names = list_of(text(), 1);
  Codec<std::vector<std::string>> codec;
  codec.shape = R"({"oneOf":[{"enum":["all"]},)" + names.shape + "]}";
  codec.read = [names](Reader& reader, const Node& node,
                       std::vector<std::string>) -> std::optional<std::vector<std::string>> {
    if (node.kind == Node::Kind::List) return names.read(reader, node, {});
    const auto word = reader.plain_text(node);
    if (!word) return std::nullopt;
    if (*word != "all") reader.mistake(node.place, "`all`, or a list of names, is wanted here");
    return std::vector<std::string>();
  };
  codec.show = [](const std::vector<std::string>&) { return json_string("all"); };
  return codec;
}

const Table<PostgresSource>& postgres_source_table() {
  using P = PostgresSource;
  static const auto kTable =
      Table<P>("A PostgreSQL server.")
          .add("dsn", &P::dsn, secret(), "libpq connection string or URI.", Need::Required)
          .add("databases", &P::databases, databases(), "Of `method: dump`.")
          .add("method", &P::method,
               choice<PostgresMethod>(
                   {{"dump", PostgresMethod::Dump}, {"basebackup", PostgresMethod::Basebackup}}),
               "pg_dump of each database, or pg_basebackup of the whole cluster.")
          .add("roles", &P::roles,
               choice<PostgresRoles>({{"all", PostgresRoles::All},
                                      {"without_passwords", PostgresRoles::WithoutPasswords},
                                      {"none", PostgresRoles::None}}),
               "Of `method: dump`; `all` needs a superuser.")
          .check([](Reader& reader, const Node& node, P& source) {
            if (source.method == PostgresMethod::Dump) return;
            for (const char* key : {"databases", "roles"}) {
              if (!node.has(key)) continue;
              reader.mistake(node.find(key)->place,
                             "`" + std::string(key) +
                                 "` is for `method: dump`; a basebackup is of the whole cluster");
            }
          });
  return kTable;
}

const Table<MysqlSource>& mysql_source_table() {
  using P = MysqlSource;
  static const auto kTable =
      Table<P>("A MySQL or MariaDB server.")
          .add("host", &P::host, silent(text()), "Name or address.")
          .add("port", &P::port, whole<std::uint16_t>(1, kSourcePortMax), "Port.")
          .add("socket", &P::socket, silent(absolute_path()), "In place of host and port.")
          .add("user", &P::user, silent(text()), "Who reads.")
          .add("password", &P::password, silent(secret()), "Of the user.")
          .add("option_file", &P::option_file, silent(absolute_path()),
               "A my.cnf of yours, read before what stands here.")
          .add("databases", &P::databases, databases(), "Which.")
          .check([](Reader& reader, const Node& node, P&) {
            if (!node.has("user") && !node.has("option_file")) {
              reader.mistake(node.place, "`user` or `option_file` is missing");
            }
          });
  return kTable;
}

const Table<RedisSource>& redis_source_table() {
  using P = RedisSource;
  static const auto kTable =
      Table<P>("A Redis server.")
          .add("host", &P::host, text(), "Name or address.")
          .add("port", &P::port, whole<std::uint16_t>(1, kSourcePortMax), "Port.")
          .add("socket", &P::socket, silent(absolute_path()), "In place of host and port.")
          .add("user", &P::user, silent(text()), "For AUTH; none: the default one.")
          .add("password", &P::password, silent(secret()), "For AUTH.");
  return kTable;
}

const Table<GitRemote>& git_remote_table() {
  using P = GitRemote;
  static const auto kTable =
      Table<P>("Where a git repository is mirrored to.")
          .add("url", &P::url, silent(text()), "As git has it.", Need::Required)
          .add("user", &P::user, silent(text()), "For https.")
          .add("password", &P::password, silent(secret()), "For https.");
  return kTable;
}

// "https://user:password@host/…"
bool holds_password(std::string_view url) {
  const auto scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::string_view authority = url.substr(scheme + 3, url.find('/', scheme + 3) - scheme - 3);
  const auto at = authority.rfind('@');
  return at != std::string_view::npos && authority.substr(0, at).find(':') != std::string::npos;
}

// A URL, or a map.
Codec<GitRemote> git_remote() {
  const auto table = object(git_remote_table());
  Codec<GitRemote> codec;
  codec.shape = R"({"oneOf":[{"type":"string"},)" + table.shape + "]}";
  codec.read = [table](Reader& reader, const Node& node,
                       GitRemote remote) -> std::optional<GitRemote> {
    if (node.kind == Node::Kind::Map) {
      if (auto read = table.read(reader, node, remote)) remote = std::move(*read);
    } else if (auto url = text().read(reader, node, {})) {
      remote.url = std::move(*url);
    }
    if (holds_password(remote.url)) {
      reader.mistake(node.place,
                     "a password does not belong into the URL, where other processes see it: "
                     "{url: …, user: …, password: \"${file:…}\"}");
    }
    if (remote.url.starts_with('-')) {
      reader.mistake(node.place, "a URL does not begin with `-`");
    }
    return remote;
  };
  return codec;
}

const Table<GitSource>& git_source_table() {
  using P = GitSource;
  static const auto kTable =
      Table<P>("A git repository, with every branch and tag.")
          .add("repository", &P::repository, silent(absolute_path()), "Its folder.", Need::Required)
          .add("remotes", &P::remotes, silent(list_of(git_remote())),
               "Where it is mirrored to as well.")
          .add("prune", &P::prune, flag(),
               "What the repository has no longer is removed from the remotes too.");
  return kTable;
}

template <class Value>
Table<BackupSource>::Read into_native(const Table<Value>& table) {
  return [&table](Reader& reader, const Entry& entry, BackupSource& source) {
    Value value;
    table.apply(reader, entry.value, value);
    source.native = std::move(value);
  };
}

void read_sqlite(Reader& reader, const Entry& entry, BackupSource& source) {
  auto paths = list_of(absolute_path(), 1).read(reader, entry.value, {});
  if (!paths) return;
  std::set<std::string> names;
  for (const std::string& path : *paths) {
    if (names.insert(path.substr(path.rfind('/') + 1)).second) continue;
    reader.mistake(entry.place,
                   "two databases have the same file name: make it two sources, each "
                   "with a `name` of its own");
  }
  source.native = SqliteSource{.paths = std::move(*paths)};
}

bool is_file_name(const std::string& name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

void check_keys(Reader& reader, const Node& node, BackupSource& source) {
  const bool is_command = node.has("command");
  const bool native = is_native(source.native);
  const auto only_for = [&](const char* key, bool allowed, const std::string& whom) {
    if (node.has(key) && !allowed) {
      reader.mistake(node.find(key)->place, "`" + std::string(key) + "` is for " + whom);
    }
  };
  if (!node.has("paths") && (node.has("exclude") || node.has("one_file_system"))) {
    reader.mistake(node.place, "`exclude` and `one_file_system` are for `paths`");
  }
  only_for("name", is_command || !node.has("paths"), "a `command` or a database");
  only_for("query", native, "databases and `git`");
  only_for("expect", native && node.has("query"), "a `query`");
  if (is_command && !is_file_name(source.name)) {
    reader.mistake(node.place,
                   "a `command` needs a `name` for its file, such as `all.sql`, without `/`");
  }
  if (native && node.has("name") && !is_identifier(source.name)) {
    reader.mistake(node.find("name")->place,
                   "the `name` of a database is up to 64 letters, digits, `-`, `_` and `.`");
  }
  if (native && source.name.empty()) source.name = kind_of(source.native);
}

}  // namespace

const Table<BackupSource>& backup_source_table() {
  using P = BackupSource;
  static const auto kTable =
      Table<P>("Something to back up.")
          .add("paths", &P::paths, silent(list_of(absolute_path(), 1)), "Files and folders.")
          .add("command", &P::command, silent(list_of(text(), 1)),
               "What it prints is kept; a command that fails is a failed backup.")
          .add("postgres", postgres_source_table().shape(), {},
               into_native(postgres_source_table()))
          .add("mysql", mysql_source_table().shape(), {}, into_native(mysql_source_table()))
          .add("redis", redis_source_table().shape(), {}, into_native(redis_source_table()))
          .add("sqlite", list_of(absolute_path(), 1).shape, "Files of SQLite databases.",
               read_sqlite)
          .add("git", git_source_table().shape(), {}, into_native(git_source_table()))
          .add("exclude", &P::excludes, silent(list_of(text())), "restic's patterns; of `paths`.")
          .add("one_file_system", &P::one_file_system, flag(), "Of `paths`.")
          .add("name", &P::name, silent(text()),
               "The file that a `command`'s output becomes; of a database, how its files begin.")
          .add("query", &P::query, silent(text()),
               "Asked of the database that a restore test starts from the backup.")
          .add("expect", &P::expect, silent(text()), "What `query` must answer.")
          .exactly_one({"paths", "command", "postgres", "mysql", "redis", "sqlite", "git"})
          .check(check_keys);
  return kTable;
}

void check_source_names(Reader& reader, const Node& sources,
                        const std::vector<BackupSource>& read) {
  std::set<std::string> names;
  for (const BackupSource& source : read) {
    if (!is_native(source.native) || names.insert(source.name).second) continue;
    reader.mistake(sources.place,
                   "two sources are named `" + source.name + "`: give each a `name` of its own");
  }
}

}  // namespace recover::config
