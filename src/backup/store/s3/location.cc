#include "backup/store/s3/location.h"

#include <algorithm>

namespace recover::backup::s3 {
namespace {

bool starts(std::string_view& text, std::string_view with) {
  if (!text.starts_with(with)) return false;
  text.remove_prefix(with.size());
  return true;
}

// restic cleans paths: "a//b/" is "a/b".
std::string cleaned(std::string_view path) {
  std::string out;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    const std::string_view part = path.substr(0, slash);
    if (!part.empty() && part != ".") out += (out.empty() ? "" : "/") + std::string(part);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return out;
}

bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte < 0x7f && c != '@' && c != '?' && c != '#';
}

}  // namespace

std::optional<Location> Location::parse(std::string_view text) {
  Location location;
  if (!starts(text, "s3:")) return std::nullopt;
  if (starts(text, "http://")) {
    location.tls = false;
  } else if (!starts(text, "https://")) {
    starts(text, "//");
  }
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos) return std::nullopt;
  location.authority = text.substr(0, slash);
  if (!std::all_of(location.authority.begin(), location.authority.end(), is_plain)) {
    return std::nullopt;
  }
  const std::string path = cleaned(text.substr(slash + 1));
  const std::size_t end = std::min(path.find('/'), path.size());
  location.bucket = path.substr(0, end);
  if (end < path.size()) location.prefix = path.substr(end + 1);
  if (location.bucket.empty() || location.prefix.find("..") != std::string::npos) {
    return std::nullopt;
  }
  return location;
}

std::string Location::text() const {
  return std::string("s3:") + (tls ? "https://" : "http://") + authority + "/" + bucket +
         (prefix.empty() ? "" : "/" + prefix);
}

}  // namespace recover::backup::s3
