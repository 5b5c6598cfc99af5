// Text that may hold a secret: never printed, compared or logged by accident.
//
// Only reveal() gives the text, so every use of a secret can be found by searching for it.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace recover::base {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}

  // The text itself, for the one call that needs it. Do not store, log or return it.
  const std::string& reveal() const noexcept { return text_; }
  bool empty() const noexcept { return text_.empty(); }

  friend bool operator==(const Secret&, const Secret&) = default;

 private:
  std::string text_;
};

// What is shown in a secret's place.
inline constexpr std::string_view kRedacted = "***";

}  // namespace recover::base
