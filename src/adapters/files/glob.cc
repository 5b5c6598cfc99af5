#include "adapters/files/glob.h"

#include <cstddef>
#include <vector>

namespace recover::adapters::files {
namespace {

enum class Piece : unsigned char { Character, Any, Star, Folders, Deep };

struct Token {
  Piece piece = Piece::Character;
  char character = 0;
};

// A character of the path.
struct Place {
  char character = 0;
  bool begins_name = false;
};

std::vector<Token> tokens_of(std::string_view glob) {
  std::vector<Token> tokens;
  for (std::size_t at = 0; at < glob.size(); ++at) {
    const bool begins = at == 0 || glob[at - 1] == '/';
    if (begins && glob.substr(at).starts_with("**/")) {
      tokens.push_back({Piece::Folders, 0});  // Any number of folders, also none.
      at += 2;
    } else if (glob.substr(at).starts_with("**")) {
      tokens.push_back({Piece::Deep, 0});
      ++at;
    } else if (glob[at] == '*') {
      tokens.push_back({Piece::Star, 0});
    } else if (glob[at] == '?') {
      tokens.push_back({Piece::Any, 0});
    } else {
      tokens.push_back({Piece::Character, glob[at]});
    }
  }
  return tokens;
}

// Whether tokens[index] and what follows match the path from a character on: `here` is what the
// tokens behind match from that character, `after` what all match from the next.
bool reaches(const std::vector<Token>& tokens, std::size_t index, const std::vector<bool>& here,
             const std::vector<bool>& after, Place place) {
  const char c = place.character;
  switch (tokens[index].piece) {
    case Piece::Character: return c == tokens[index].character && after[index + 1];
    case Piece::Any: return c != '/' && after[index + 1];
    case Piece::Star: return here[index + 1] || (c != '/' && after[index]);
    case Piece::Deep: return here[index + 1] || after[index];
    // Ends where a name begins; passes over every character.
    case Piece::Folders: return (place.begins_name && here[index + 1]) || after[index];
  }
  return false;
}

}  // namespace

bool matches(std::string_view glob, std::string_view path) {
  const std::vector<Token> tokens = tokens_of(glob);
  // reached[i]: the tokens before it match the rest of the path; filled from the path's end.
  std::vector<bool> after(tokens.size() + 1, false);
  after[tokens.size()] = true;
  for (std::size_t index = tokens.size(); index-- > 0;) {
    const Piece piece = tokens[index].piece;
    after[index] = (piece == Piece::Star || piece == Piece::Deep || piece == Piece::Folders) &&
                   after[index + 1];
  }
  for (std::size_t at = path.size(); at-- > 0;) {
    std::vector<bool> here(tokens.size() + 1, false);
    const Place place = {path[at], at == 0 || path[at - 1] == '/'};
    for (std::size_t index = tokens.size(); index-- > 0;) {
      here[index] = reaches(tokens, index, here, after, place);
    }
    after = std::move(here);
  }
  return after[0];
}

}  // namespace recover::adapters::files
