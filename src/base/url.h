// An http or https URL taken apart. Refuses every other scheme, spaces and control characters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::base {

struct Url {
  bool tls = false;
  std::string user_info;  // "user:password" as written; empty: none.
  std::string host;       // Without brackets.
  std::string port;       // Digits, or the scheme's own.
  std::string target;     // Path and query, at least "/".

  static std::optional<Url> parse(std::string_view text);

  // "host:port": what may be shown.
  std::string where() const {
    return host.find(':') == std::string::npos ? host + ":" + port : "[" + host + "]:" + port;
  }
  // "host:port" of a URL into its parts; false: it is none. IPv6 addresses stand in brackets.
  bool set_authority(std::string_view authority);

  // What must not be shown: user information, its password, the query and each value in it.
  std::vector<std::string> secrets() const;
};

inline std::optional<Url> Url::parse(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return std::nullopt;
  }
  Url url;
  url.tls = text.starts_with("https://");
  if (!url.tls && !text.starts_with("http://")) return std::nullopt;
  text.remove_prefix(url.tls ? 8 : 7);
  text = text.substr(0, text.find('#'));
  const auto end = text.find_first_of("/?");
  std::string_view authority = text.substr(0, end);
  if (end != std::string_view::npos) url.target = text.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    url.user_info = authority.substr(0, at);
    authority.remove_prefix(at + 1);
  }
  if (!url.set_authority(authority)) return std::nullopt;
  return url;
}

inline bool Url::set_authority(std::string_view authority) {
  const auto bracket = authority.starts_with('[') ? authority.find(']') : 0;
  if (bracket == std::string_view::npos) return false;
  const auto colon = authority.find(':', bracket);
  host = bracket != 0 ? authority.substr(1, bracket - 1) : authority.substr(0, colon);
  port = colon != std::string_view::npos ? authority.substr(colon + 1) : tls ? "443" : "80";
  const bool digits = port.find_first_not_of("0123456789") == std::string::npos;
  return digits && !host.empty() && !port.empty() && port.size() <= 5;
}

inline std::vector<std::string> Url::secrets() const {
  std::vector<std::string> found;
  if (!user_info.empty()) found.push_back(user_info);
  if (const auto colon = user_info.find(':'); colon != std::string::npos) {
    found.push_back(user_info.substr(colon + 1));
  }
  const auto question = target.find('?');
  if (question == std::string::npos) return found;
  std::string_view query = std::string_view(target).substr(question + 1);
  found.emplace_back(query);
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    if (const auto equals = pair.find('='); equals != std::string_view::npos) {
      found.emplace_back(pair.substr(equals + 1));
    }
    query.remove_prefix(pair.size() == query.size() ? pair.size() : pair.size() + 1);
  }
  return found;
}

}  // namespace recover::base
