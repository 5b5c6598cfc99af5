// Where a repository lies in an object store, as restic writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace recover::backup::s3 {

struct Location {
  bool tls = true;
  std::string authority;  // "host" or "host:port", as in the Host header.
  std::string bucket;
  std::string prefix;  // Without slashes at its ends; empty: the bucket's root.

  // "s3:https://host:9000/bucket/prefix", "s3:s3.amazonaws.com/bucket/prefix", "s3://host/bucket".
  // None: it is not of that form.
  static std::optional<Location> parse(std::string_view text);
  std::string text() const;

  friend bool operator==(const Location&, const Location&) = default;
};

}  // namespace recover::backup::s3
