// Trees of files as bytes, so that who reads the same text again need not parse it again.
//
// The bytes are for the same program on the same machine, but are not trusted: what is cut short
// or of another version gives nothing. They hold what the files hold, so no expanded secret.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/tree.h"

namespace recover::config {

// Of whole files without mistakes; each with its text, whose equality is what makes a tree valid.
class TreeMemory {
 public:
  static constexpr std::size_t kBytesMax = 32U << 20U;

  TreeMemory() = default;
  // Views into itself.
  TreeMemory(const TreeMemory&) = delete;
  TreeMemory& operator=(const TreeMemory&) = delete;
  // What bytes() gave an earlier process. Of another `program` it gives nothing: what that made of
  // a text need not be what we would.
  explicit TreeMemory(std::string bytes, std::string program = {});

  // The documents of that very text; none: it was not read before.
  std::optional<std::vector<Node>> find(std::string_view text, std::uint32_t file);
  void add(std::string_view text, const std::vector<Node>& documents);

  // Whether a later program needs bytes() anew: something was added, or not asked for any more.
  bool changed() const noexcept;
  // Only the files that were asked for or added.
  std::string bytes() const;

 private:
  struct File {
    std::string_view text;  // Into bytes_, or into `own`.
    std::string_view tree;
    bool used = false;
    std::unique_ptr<std::string> own;
  };

  std::string bytes_;
  std::string program_;
  std::vector<File> files_;
  bool added_ = false;
};

}  // namespace recover::config
