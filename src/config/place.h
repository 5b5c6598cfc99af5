// Where in the user's files something stands, and what is wrong there.
#pragma once

#include <compare>
#include <cstdint>
#include <string>

namespace recover::config {

// Line and column count from 1; a column is a byte. `file` is a number of Reader.
struct Place {
  std::uint32_t file = 0;
  int line = 1;
  int column = 1;
  friend bool operator==(const Place&, const Place&) = default;
};

// A word of the file together with where it stands, e.g. the name of a service meant.
struct Named {
  std::string text;
  Place place;
  friend bool operator==(const Named&, const Named&) = default;
};

// One thing the user has to change. Never holds the value of a secret.
struct Mistake {
  std::string file;
  int line = 1;
  int column = 1;
  std::string message;
  // The check takes the 0 of a defaulted <=> for a null pointer.
  friend auto operator<=>(const Mistake&,
                          const Mistake&) = default;  // NOLINT(modernize-use-nullptr)
};

// "FILE:LINE:COL: message"
std::string to_string(const Mistake& mistake);

}  // namespace recover::config
