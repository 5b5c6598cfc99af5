// What every part of the reading shares: the files seen, the mistakes found, the secrets expanded.
//
// Mistakes are collected, never thrown, so that all are reported at once; they hold text of the
// files as written, before any expansion.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/files.h"
#include "config/place.h"
#include "config/tree.h"

namespace recover::config {

class Reader {
 public:
  static constexpr std::size_t kMistakesMax = 1'000;
  static constexpr std::size_t kSecretMax = 1U << 20U;  // Bytes of a secret's file.

  // `files` outlives this.
  explicit Reader(Files& files) : files_(files) {}

  Files& files() noexcept { return files_; }

  // The documents of a text; its mistakes are noted. `recorded`: it belongs to the sources.
  std::vector<Node> parse(std::string path, std::string text, bool recorded);

  void mistake(Place place, std::string message);
  // Notes "expected <wanted>, found <what is there>".
  void unexpected(const Node& node, std::string_view wanted);

  // The place of a byte inside a scalar; its start where escapes hide the exact spot.
  Place inside(const Node& scalar, std::size_t offset) const;
  // "FILE:LINE:COL"
  std::string show(Place place) const;
  const std::string& path(std::uint32_t file) const { return sources_.at(file).path; }

  // The text of a scalar that must not hold a secret; "$${" became "${". Notes what is wrong.
  std::optional<std::string> plain_text(const Node& node);
  // The text of a scalar with ${env:NAME} and ${file:PATH} expanded; "$${" became "${".
  // `raw`: keeps the line end that a secret's file usually has. Notes what is wrong.
  std::optional<std::string> secret_text(const Node& node, bool raw = false);

  // A file could not be understood, so names defined in it are unknown: do not call them dangling.
  void lose() noexcept { lost_ = true; }
  bool lost() const noexcept { return lost_; }

  // Sorted by file, line and column.
  std::vector<Mistake> mistakes() const;
  std::vector<std::pair<std::string, std::string>> sources() const;
  // Every value that a reference brought, longest first, each once.
  std::vector<std::string> secrets() const;

 private:
  struct Source {
    std::string path;
    std::string text;
    bool recorded = true;
  };
  bool expect_scalar(const Node& node);
  std::optional<std::string> look_up(const Node& node, std::size_t at, std::string_view rest,
                                     bool raw);

  Files& files_;
  std::vector<Source> sources_;
  std::vector<Mistake> mistakes_;
  std::vector<std::string> secrets_;
  bool lost_ = false;
};

}  // namespace recover::config
