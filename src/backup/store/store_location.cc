#include "backup/store/store_location.h"

#include <charconv>
#include <optional>
#include <utility>

#include "backup/store/append_only_store.h"
#include "backup/store/local_store.h"
#include "backup/store/s3/s3_store.h"
#include "backup/store/sftp/sftp_store.h"
#include "backup/store/steady_store.h"

namespace recover::backup {
namespace {

using Opened = Outcome<std::unique_ptr<Store>>;

constexpr unsigned kConnectionsMax = 64;

std::string option(const StoreWish& wish, const std::string& name) {
  const auto found = wish.options.find(name);
  return found == wish.options.end() ? std::string() : found->second;
}

Outcome<void> check_options(const StoreWish& wish) {
  for (const auto& [name, value] : wish.options) {
    const bool known = name == "s3.region" || name == "s3.connections" || name == "sftp.command" ||
                       name == "sftp.args";
    if (!known) {
      return fail(FailureKind::Invalid,
                  "option \"" + name +
                      "\": known are s3.region, s3.connections, sftp.command and sftp.args");
    }
  }
  return {};
}

std::unique_ptr<Store> steady(std::unique_ptr<Store> store) {
  return std::make_unique<SteadyStore>(std::move(store));
}

Opened open_s3(const std::string& location, const StoreWish& wish) {
  const auto parsed = s3::Location::parse(location);
  if (!parsed) {
    return fail(FailureKind::Invalid, location + ": should be s3:https://HOST/BUCKET/PREFIX");
  }
  s3::S3Options options{.location = *parsed,
                        .credentials = {.access_key = wish.access_key,
                                        .secret_key = wish.secret_key,
                                        .session_token = wish.session_token}};
  const std::string region = option(wish, "s3.region");
  if (!wish.region.empty()) options.region = wish.region;
  if (!region.empty()) options.region = region;
  options.http.ca_file = wish.ca_file;
  options.bandwidth = wish.bandwidth;
  if (const std::string text = option(wish, "s3.connections"); !text.empty()) {
    unsigned count = 0;
    const auto end = text.data() + text.size();
    const bool whole = std::from_chars(text.data(), end, count).ptr == end;
    if (!whole || count < 1 || count > kConnectionsMax) {
      return fail(FailureKind::Invalid, "option s3.connections: 1 to 64");
    }
    options.http.connections = count;
  }
  return steady(std::make_unique<s3::S3Store>(std::move(options)));
}

Opened open_sftp(const std::string& location, const StoreWish& wish) {
  const auto parsed = sftp::Location::parse(location);
  if (!parsed) {
    return fail(FailureKind::Invalid,
                location + ": should be sftp:USER@HOST:/FOLDER or sftp://USER@HOST:PORT//FOLDER");
  }
  sftp::SftpOptions options{.location = *parsed, .bandwidth = wish.bandwidth};
  const std::string command = option(wish, "sftp.command");
  const std::string arguments = option(wish, "sftp.args");
  const auto words = sftp::split_words(command.empty() ? arguments : command);
  if (!words) return fail(FailureKind::Invalid, "option sftp.command: a quote is open");
  if (!command.empty()) {
    options.command = *words;
  } else if (!words->empty()) {
    options.command = parsed->command();
    options.command.insert(options.command.begin() + 1, words->begin(), words->end());
  }
  return steady(std::make_unique<sftp::SftpStore>(std::move(options)));
}

Opened open_bare(const std::string& location, const StoreWish& wish) {
  constexpr std::string_view kLocal = "local:";
  if (location.starts_with(kLocal)) {
    return std::make_unique<LocalStore>(location.substr(kLocal.size()));
  }
  if (location.starts_with("s3:")) return open_s3(location, wish);
  if (location.starts_with("sftp:")) return open_sftp(location, wish);
  const std::size_t colon = location.find(':');
  if (colon != std::string::npos && location.find('/') > colon) {
    return fail(FailureKind::Invalid,
                location + ": \"" + location.substr(0, colon) +
                    ":\" is not known; known are local:, sftp:, s3: and mirror:");
  }
  return std::make_unique<LocalStore>(location);
}

}  // namespace

Outcome<std::unique_ptr<Store>> open_store(const std::string& location, const StoreWish& wish) {
  if (auto known = check_options(wish); !known) return Unexpected(known.error());
  auto opened = open_bare(location, wish);
  if (!opened || !wish.append_only) return opened;
  return std::make_unique<AppendOnlyStore>(std::move(*opened));
}

}  // namespace recover::backup
