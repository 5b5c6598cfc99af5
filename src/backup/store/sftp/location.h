// Where a repository lies on an SSH server, as restic writes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::backup::sftp {

struct Location {
  std::string user;  // Empty: ssh's own choice.
  std::string host;
  std::string port;  // Digits; empty: ssh's own choice.
  std::string path;  // Without a leading '/': below the login folder.

  // "sftp:user@host:/srv/repo", "sftp://user@host:22//srv/repo" (one slash: below the login
  // folder). None: it is not of that form, or would be an option of ssh.
  static std::optional<Location> parse(std::string_view text);
  std::string text() const;
  // What reaches the server when nothing else is wished: ssh.
  std::vector<std::string> command() const;

  friend bool operator==(const Location&, const Location&) = default;
};

}  // namespace recover::backup::sftp
