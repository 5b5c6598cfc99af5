// Takes secrets out of texts that others wrote: error messages of libraries, output of programs.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/secret.h"

namespace recover::base {

// Shorter secrets ("1", "no") would make every text unreadable and are not worth hiding.
inline constexpr std::size_t kSecretLengthMin = 4;

// `text` with each occurrence of a secret replaced by kRedacted. Longer ones should come first.
inline std::string redacted(std::string text, std::span<const std::string> secrets) {
  for (const std::string& secret : secrets) {
    if (secret.size() < kSecretLengthMin) continue;
    for (auto at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + kRedacted.size())) {
      text.replace(at, secret.size(), kRedacted);
    }
  }
  return text;
}

}  // namespace recover::base
