#include "apps/recoverd_backup/sources/postgres_programs.h"

#include <libpq-fe.h>

#include <charconv>
#include <filesystem>
#include <memory>
#include <string_view>

namespace recover::apps {
namespace {

int number_in(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Of Debian and its kin, of Red Hat and its kin.
struct Layout {
  std::string folder;
  std::string prefix;
};

std::string program_in(const Layout& layout, const std::string& name, const std::string& major,
                       int& best) {
  std::string found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(layout.folder, ignored)) {
    const std::string version = entry.path().filename().string();
    if (!version.starts_with(layout.prefix)) continue;
    const std::string number = version.substr(layout.prefix.size());
    const std::string program = entry.path().string() + "/bin/" + name;
    const bool wanted = major.empty() ? number_in(number) > best : number == major;
    if (!wanted || !std::filesystem::exists(program, ignored)) continue;
    best = number_in(number);
    found = program;
  }
  return found;
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

void take_option(PostgresTarget& target, const PQconninfoOption& option) {
  const std::string keyword = option.keyword;
  if (keyword == "dbname") target.database = option.val;
  if (keyword == "user") target.user = option.val;
  if (keyword == "password") target.password = option.val;
  if (keyword == "dbname" || keyword == "password") return;
  if (option.envvar != nullptr) {
    target.variables.push_back(std::string(option.envvar) + "=" + option.val);
  } else {
    target.rest += conninfo(keyword, option.val) + " ";
  }
}

}  // namespace

std::string postgres_program(const std::string& name, const std::string& major) {
  int best = 0;
  std::string found;
  for (const Layout& layout : {Layout{"/usr/lib/postgresql", ""}, Layout{"/usr", "pgsql-"}}) {
    if (auto program = program_in(layout, name, major, best); !program.empty()) {
      found = std::move(program);
    }
  }
  return found.empty() && major.empty() ? name : found;
}

backup::Outcome<PostgresTarget> postgres_target(const base::Secret& dsn) {
  using backup::FailureKind;
  PostgresTarget target;
  target.variables = {"PGCONNECT_TIMEOUT=30", "PGAPPNAME=recoverd", "LC_MESSAGES=C"};
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(
      PQconninfoParse(dsn.reveal().c_str(), nullptr));
  if (!options) return backup::fail(FailureKind::Invalid, "the `dsn` is no connection string");
  if (options.get()->keyword == nullptr) {
    static_cast<void>(options.get());
    return backup::fail(FailureKind::Invalid, "libpq.so.5 is not installed");
  }
  for (const PQconninfoOption* one = options.get(); one->keyword != nullptr; ++one) {
    // What has no variable would be an argument.
    const bool is_set = one->val != nullptr && *one->val != '\0';
    const bool is_secret = one->dispchar != nullptr && *one->dispchar == '*' &&
                           std::string_view(one->keyword) != "password";
    if (is_set && is_secret && one->envvar == nullptr) {
      return backup::fail(FailureKind::Invalid,
                          "`" + std::string(one->keyword) +
                              "` in the `dsn` would be seen by every process of the machine: "
                              "give `sslkey` a file without a passphrase, readable by recoverd "
                              "alone");
    }
    if (one->val != nullptr && *one->val != '\0') take_option(target, *one);
  }
  return target;
}

std::string conninfo(const std::string& key, const std::string& value) {
  std::string text = key + "='";
  for (const char c : value) {
    if (c == '\'' || c == '\\') text += '\\';
    text += c;
  }
  return text + "'";
}

std::optional<std::string> password_file(const std::string& password) {
  std::string text = "*:*:*:*:";
  for (const char c : password) {
    if (c == '\n' || c == '\r') return std::nullopt;
    if (c == '\\' || c == ':') text += '\\';
    text += c;
  }
  return text + "\n";
}

}  // namespace recover::apps
