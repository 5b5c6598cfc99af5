// What a backup reads by a way of its own instead of as files: databases, which are only consistent
// when they are asked, and git repositories. Plain values, shared by the configuration and the
// backup worker.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/secret.h"

namespace recover::core {

enum class PostgresMethod : std::uint8_t {
  Dump,       // pg_dump of each database, and the roles.
  Basebackup  // The whole cluster's files with the WAL they need.
};
enum class PostgresRoles : std::uint8_t { All, WithoutPasswords, None };

struct PostgresSource {
  base::Secret dsn;                    // Keywords or a URI; empty: libpq's defaults.
  std::vector<std::string> databases;  // Empty: all that can be connected to.
  PostgresMethod method = PostgresMethod::Dump;
  PostgresRoles roles = PostgresRoles::All;
  friend bool operator==(const PostgresSource&, const PostgresSource&) = default;
};

struct MysqlSource {
  std::string host;  // Empty, and no socket: the client's default.
  std::uint16_t port = 3306;
  std::string socket;
  std::string user;
  base::Secret password;
  std::string option_file;             // The user's own, read before what stands here.
  std::vector<std::string> databases;  // Empty: all.
  friend bool operator==(const MysqlSource&, const MysqlSource&) = default;
};

struct RedisSource {
  std::string host = "127.0.0.1";
  std::uint16_t port = 6379;
  std::string socket;  // In place of host and port.
  std::string user;    // Empty: the default one.
  base::Secret password;
  friend bool operator==(const RedisSource&, const RedisSource&) = default;
};

struct SqliteSource {
  std::vector<std::string> paths;
  friend bool operator==(const SqliteSource&, const SqliteSource&) = default;
};

struct GitRemote {
  std::string url;  // Without a password.
  std::string user;
  base::Secret password;
  friend bool operator==(const GitRemote&, const GitRemote&) = default;
};

struct GitSource {
  std::string repository;
  std::vector<GitRemote> remotes;
  bool prune = false;  // What the repository has no longer is removed from the remotes too.
  friend bool operator==(const GitSource&, const GitSource&) = default;
};

// The first: none of them.
using NativeSource =
    std::variant<std::monostate, PostgresSource, MysqlSource, RedisSource, SqliteSource, GitSource>;

inline bool is_native(const NativeSource& source) {
  return source.index() != 0;
}

inline bool is_database(const NativeSource& source) {
  return is_native(source) && !std::holds_alternative<GitSource>(source);
}

// As the configuration has it; also the name of a source that was given none.
constexpr std::string_view kind_of(const NativeSource& source) {
  constexpr std::string_view kKinds[] = {"", "postgres", "mysql", "redis", "sqlite", "git"};
  return kKinds[source.index()];
}

}  // namespace recover::core
