#include "apps/recoverd_backup/sources/source_json.h"

#include <boost/json.hpp>

#include <stdexcept>

namespace recover::apps {
namespace {

namespace json = boost::json;

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? std::string() : json::value_to<std::string>(*value);
}

std::vector<std::string> texts_at(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  if (value == nullptr) return {};
  return json::value_to<std::vector<std::string>>(*value);
}

std::uint16_t port_at(const json::object& object, std::uint16_t otherwise) {
  const json::value* const value = object.if_contains("port");
  return value == nullptr ? otherwise : value->to_number<std::uint16_t>();
}

std::string wanted_at(const json::object& object, std::string_view key) {
  std::string text = text_at(object, key);
  if (text.empty()) throw std::invalid_argument("a source needs `" + std::string(key) + "`");
  return text;
}

core::NativeSource postgres_of(const json::object& object) {
  core::PostgresSource source{.dsn = base::Secret(text_at(object, "dsn")),
                              .databases = texts_at(object, "databases")};
  const std::string method = text_at(object, "method");
  if (method == "basebackup") source.method = core::PostgresMethod::Basebackup;
  const std::string roles = text_at(object, "roles");
  if (roles == "without_passwords") source.roles = core::PostgresRoles::WithoutPasswords;
  if (roles == "none") source.roles = core::PostgresRoles::None;
  return source;
}

core::NativeSource mysql_of(const json::object& object) {
  return core::MysqlSource{.host = text_at(object, "host"),
                           .port = port_at(object, 3306),
                           .socket = text_at(object, "socket"),
                           .user = text_at(object, "user"),
                           .password = base::Secret(text_at(object, "password")),
                           .option_file = text_at(object, "option_file"),
                           .databases = texts_at(object, "databases")};
}

core::NativeSource redis_of(const json::object& object) {
  core::RedisSource source{.port = port_at(object, 6379),
                           .socket = text_at(object, "socket"),
                           .user = text_at(object, "user"),
                           .password = base::Secret(text_at(object, "password"))};
  if (auto host = text_at(object, "host"); !host.empty()) source.host = std::move(host);
  return source;
}

core::NativeSource git_of(const json::object& object) {
  core::GitSource source{.repository = wanted_at(object, "repository"), .remotes = {}};
  const json::value* const prune = object.if_contains("prune");
  source.prune = prune != nullptr && prune->as_bool();
  const json::value* const remotes = object.if_contains("remotes");
  if (remotes == nullptr) return source;
  for (const json::value& remote : remotes->as_array()) {
    const json::object& fields = remote.as_object();
    source.remotes.push_back({.url = wanted_at(fields, "url"),
                              .user = text_at(fields, "user"),
                              .password = base::Secret(text_at(fields, "password"))});
  }
  return source;
}

}  // namespace

core::NativeSource native_source_of(const json::object& source) {
  if (const auto* const one = source.if_contains("postgres")) return postgres_of(one->as_object());
  if (const auto* const one = source.if_contains("mysql")) return mysql_of(one->as_object());
  if (const auto* const one = source.if_contains("redis")) return redis_of(one->as_object());
  if (const auto* const one = source.if_contains("git")) return git_of(one->as_object());
  if (const auto* const one = source.if_contains("sqlite")) {
    return core::SqliteSource{.paths = json::value_to<std::vector<std::string>>(*one)};
  }
  return {};
}

}  // namespace recover::apps
