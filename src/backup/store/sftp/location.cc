#include "backup/store/sftp/location.h"

#include <algorithm>

namespace recover::backup::sftp {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && text.front() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// "user@host"; a user may have '@' in it.
void set_login(Location& location, std::string_view login) {
  const std::size_t at = login.rfind('@');
  if (at != std::string_view::npos) location.user = login.substr(0, at);
  location.host = at == std::string_view::npos ? login : login.substr(at + 1);
}

// "user@host:22/path": the host may stand in brackets.
bool set_url(Location& location, std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return false;
  location.path = text.substr(slash + 1);
  std::string_view login = text.substr(0, slash);
  const std::size_t colon = login.rfind(':');
  const std::size_t bracket = login.rfind(']');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || bracket < colon);
  if (has_port) {
    location.port = login.substr(colon + 1);
    login = login.substr(0, colon);
  }
  set_login(location, login);
  if (location.host.starts_with("[") && location.host.ends_with("]")) {
    location.host = location.host.substr(1, location.host.size() - 2);
  }
  return !has_port || is_port(location.port);
}

}  // namespace

std::optional<Location> Location::parse(std::string_view text) {
  constexpr std::string_view kScheme = "sftp:";
  if (!text.starts_with(kScheme)) return std::nullopt;
  text.remove_prefix(kScheme.size());
  Location location;
  if (text.starts_with("//")) {
    if (!set_url(location, text.substr(2))) return std::nullopt;
  } else {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    set_login(location, text.substr(0, colon));
    location.path = text.substr(colon + 1);
  }
  while (location.path.size() > 1 && location.path.ends_with('/')) location.path.pop_back();
  const bool good = is_name(location.host) && (location.user.empty() || is_name(location.user)) &&
                    !location.path.empty();
  return good ? std::optional(location) : std::nullopt;
}

std::string Location::text() const {
  const std::string login = user.empty() ? host : user + "@" + host;
  if (port.empty()) return "sftp:" + login + ":" + path;
  return "sftp://" + login + ":" + port + "/" + path;
}

std::vector<std::string> Location::command() const {
  std::vector<std::string> words = {"ssh", "-o", "ServerAliveInterval=15", "-o",
                                    "ServerAliveCountMax=4"};
  if (!port.empty()) words.insert(words.end(), {"-p", port});
  if (!user.empty()) words.insert(words.end(), {"-l", user});
  words.insert(words.end(), {host, "-s", "sftp"});
  return words;
}

}  // namespace recover::backup::sftp
