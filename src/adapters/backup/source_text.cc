#include "adapters/backup/source_text.h"

#include <boost/json.hpp>

#include <variant>

#include "base/overloaded.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

std::string_view word_of(core::PostgresMethod method) {
  switch (method) {
    case core::PostgresMethod::Dump: return "dump";
    case core::PostgresMethod::Basebackup: return "basebackup";
  }
  return "dump";
}

std::string_view word_of(core::PostgresRoles roles) {
  switch (roles) {
    case core::PostgresRoles::All: return "all";
    case core::PostgresRoles::WithoutPasswords: return "without_passwords";
    case core::PostgresRoles::None: return "none";
  }
  return "all";
}

json::array remotes_of(const core::GitSource& source) {
  json::array remotes;
  for (const core::GitRemote& remote : source.remotes) {
    remotes.push_back(json::object{
        {"url", remote.url}, {"user", remote.user}, {"password", remote.password.reveal()}});
  }
  return remotes;
}

json::value value_of(const core::NativeSource& source) {
  return std::visit(
      base::Overloaded{
          [](const std::monostate&) -> json::value { return {}; },
          [](const core::PostgresSource& one) -> json::value {
            return {{"dsn", one.dsn.reveal()},
                    {"databases", json::value_from(one.databases)},
                    {"method", word_of(one.method)},
                    {"roles", word_of(one.roles)}};
          },
          [](const core::MysqlSource& one) -> json::value {
            return {{"host", one.host},
                    {"port", one.port},
                    {"socket", one.socket},
                    {"user", one.user},
                    {"password", one.password.reveal()},
                    {"option_file", one.option_file},
                    {"databases", json::value_from(one.databases)}};
          },
          [](const core::RedisSource& one) -> json::value {
            return {{"host", one.host},
                    {"port", one.port},
                    {"socket", one.socket},
                    {"user", one.user},
                    {"password", one.password.reveal()}};
          },
          [](const core::SqliteSource& one) -> json::value { return json::value_from(one.paths); },
          [](const core::GitSource& one) -> json::value {
            return {
                {"repository", one.repository}, {"remotes", remotes_of(one)}, {"prune", one.prune}};
          }},
      source);
}

}  // namespace

json::object source_text(const core::BackupSource& source) {
  if (core::is_native(source.native)) {
    json::object text{{"name", source.name}, {"query", source.query}};
    text[core::kind_of(source.native)] = value_of(source.native);
    if (source.expect) text["expect"] = *source.expect;
    return text;
  }
  if (!source.command.empty()) {
    return {{"command", json::value_from(source.command)}, {"name", source.name}};
  }
  return {{"paths", json::value_from(source.paths)},
          {"excludes", json::value_from(source.excludes)},
          {"one_file_system", source.one_file_system}};
}

}  // namespace recover::adapters::backup
