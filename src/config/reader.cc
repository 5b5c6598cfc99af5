#include "config/reader.h"

#include <algorithm>

#include "config/near_miss.h"
#include "config/tree_memory.h"

namespace recover::config {
namespace {

constexpr std::string_view kOpen = "${";
constexpr std::string_view kEscaped = "$${";

bool is_reference(std::string_view text) {
  return text.starts_with("${env:") || text.starts_with("${file:");
}

// "${word:…": meant as a secret, although no source of secrets is called so.
std::string_view unknown_scheme(std::string_view text) {
  if (!text.starts_with(kOpen)) return {};
  std::size_t end = kOpen.size();
  while (end < text.size() && text[end] >= 'a' && text[end] <= 'z') ++end;
  const bool scheme = end > kOpen.size() && end + 1 < text.size() && text[end] == ':';
  // "${name:-default}" is the shell's, not ours.
  if (!scheme || text[end + 1] == '-' || text[end + 1] == '=') return {};
  return text.substr(kOpen.size(), end - kOpen.size());
}

}  // namespace

std::string to_string(const Mistake& mistake) {
  return mistake.file + ":" + std::to_string(mistake.line) + ":" + std::to_string(mistake.column) +
         ": " + mistake.message;
}

std::vector<Node> Reader::parse(std::string path, std::string text, bool recorded) {
  const auto file = static_cast<std::uint32_t>(sources_.size());
  sources_.push_back({std::move(path), std::move(text), recorded});
  TreeMemory* const trees = files_.trees();
  if (trees != nullptr) {
    if (auto known = trees->find(sources_.back().text, file)) return std::move(*known);
  }
  Documents documents = parse_documents(sources_.back().text, file);
  for (TreeMistake& found : documents.mistakes) mistake(found.place, std::move(found.message));
  if (!documents.complete) lose();
  const bool whole = documents.complete && documents.mistakes.empty();
  if (trees != nullptr && whole) trees->add(sources_.back().text, documents.roots);
  return std::move(documents.roots);
}

void Reader::mistake(Place place, std::string message) {
  if (mistakes_.size() >= kMistakesMax) return;
  const std::string file = place.file < sources_.size() ? path(place.file) : std::string();
  mistakes_.push_back({file, place.line, place.column, std::move(message)});
}

void Reader::unexpected(const Node& node, std::string_view wanted) {
  mistake(node.place, "expected " + std::string(wanted) + ", found " + describe(node));
}

Place Reader::inside(const Node& scalar, std::size_t offset) const {
  const std::string_view text = sources_.at(scalar.place.file).text;
  std::size_t start = 0;
  for (int line = 1; line < scalar.place.line; ++line) {
    start = text.find('\n', start);
    if (start == std::string_view::npos) return scalar.place;
    ++start;
  }
  const int quote = scalar.plain ? 0 : 1;
  const std::size_t column = static_cast<std::size_t>(scalar.place.column - 1 + quote);
  if (start + column > text.size() || !text.substr(start + column).starts_with(scalar.text) ||
      scalar.text.find('\n') != std::string::npos) {
    return scalar.place;
  }
  Place place = scalar.place;
  place.column += quote + static_cast<int>(offset);
  return place;
}

std::string Reader::show(Place place) const {
  return path(place.file) + ":" + std::to_string(place.line) + ":" + std::to_string(place.column);
}

bool Reader::expect_scalar(const Node& node) {
  if (node.kind == Node::Kind::Scalar) return true;
  unexpected(node, "text");
  return false;
}

std::optional<std::string> Reader::plain_text(const Node& node) {
  if (!expect_scalar(node)) return std::nullopt;
  const std::string_view text = node.text;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text.substr(at).starts_with(kEscaped)) {
      out += kOpen;
      at += kEscaped.size();
    } else if (is_reference(text.substr(at))) {
      mistake(inside(node, at), "a secret cannot be used here");
      return std::nullopt;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::optional<std::string> Reader::secret_text(const Node& node, bool raw) {
  if (!expect_scalar(node)) return std::nullopt;
  const std::string_view text = node.text;
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    if (rest.starts_with(kEscaped)) {
      out += kOpen;
      at += kEscaped.size();
    } else if (is_reference(rest)) {
      const auto value = look_up(node, at, rest, raw);
      if (!value) return std::nullopt;
      out += *value;
      secrets_.push_back(*value);
      at += rest.find('}') + 1;
    } else if (const auto scheme = unknown_scheme(rest);
               rest.starts_with(kOpen) && !scheme.empty()) {
      mistake(inside(node, at), "a secret comes from `${env:NAME}` or `${file:PATH}`, not from `" +
                                    std::string(scheme) + ":`; write `$${` for a plain `${`");
      return std::nullopt;
    } else {
      out += text[at++];
    }
  }
  return out;
}

std::optional<std::string> Reader::look_up(const Node& node, std::size_t at, std::string_view rest,
                                           bool raw) {
  const std::size_t close = rest.find('}');
  if (close == std::string_view::npos) {
    mistake(inside(node, at), "`${` has no `}`");
    return std::nullopt;
  }
  const std::string_view reference = rest.substr(kOpen.size(), close - kOpen.size());
  const std::size_t colon = reference.find(':');
  const std::string name(reference.substr(colon + 1));
  const auto refuse = [&](const std::string& why) {
    mistake(inside(node, at), why);
    return std::nullopt;
  };
  if (name.empty()) return refuse("`${" + std::string(reference) + "}` names nothing");
  if (reference.starts_with("env:")) {
    auto value = files_.environment(name);
    if (!value) return refuse("the environment variable `" + name + "` is not set");
    return value;
  }
  if (!name.starts_with('/'))
    return refuse("the path of a secret must be absolute: `" + name + "`");
  Result<std::string, std::string> content = files_.read(name);
  if (!content) return refuse("cannot read the secret `" + name + "`: " + content.error());
  if (content->size() > kSecretMax) return refuse("the secret `" + name + "` is too large");
  if (!raw && content->ends_with('\n')) content->pop_back();
  if (!raw && content->ends_with('\r')) content->pop_back();
  return std::move(content).value();
}

std::vector<Mistake> Reader::mistakes() const {
  std::vector<Mistake> sorted = mistakes_;
  std::ranges::sort(sorted);
  sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
  return sorted;
}

std::vector<std::pair<std::string, std::string>> Reader::sources() const {
  std::vector<std::pair<std::string, std::string>> recorded;
  for (const Source& source : sources_) {
    if (source.recorded) recorded.emplace_back(source.path, source.text);
  }
  return recorded;
}

std::vector<std::string> Reader::secrets() const {
  std::vector<std::string> all = secrets_;
  const auto longer_first = [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  };
  std::sort(all.begin(), all.end(), longer_first);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

}  // namespace recover::config
