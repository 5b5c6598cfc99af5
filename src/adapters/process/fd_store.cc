#include "adapters/process/fd_store.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

#include "adapters/process/listen_sockets.h"

namespace recover::adapters::process {
namespace {

// "fd/<16 digits>/<4 digits>/<name>" fits into a label.
constexpr std::size_t kNumberDigits = 4;
constexpr std::uint32_t kNumbers = 10'000;
constexpr std::string_view kUnnamed = "stored";  // What systemd calls them.

std::string clean(std::string_view name) {
  std::string text(name.empty() ? kUnnamed : name);
  // A colon would end the name in LISTEN_FDNAMES.
  std::erase_if(text, [](char letter) { return letter == ':' || letter <= ' '; });
  if (text.size() > kStoredNameMax) text.resize(kStoredNameMax);
  return text;
}

std::string four_digits(std::uint32_t number) {
  std::array<char, 16> digits{};
  std::snprintf(digits.data(), digits.size(), "%04u", static_cast<unsigned>(number % kNumbers));
  return digits.data();
}

}  // namespace

FdStore::FdStore(KeeperLink& keeper, std::string_view owner)
    : keeper_(keeper), prefix_("fd/" + short_name(owner) + "/") {
  for (const std::string& label : keeper_.labels(prefix_)) {
    const std::string rest = label.substr(prefix_.size());
    if (rest.size() <= kNumberDigits) continue;
    const auto number = static_cast<std::uint32_t>(std::strtoul(rest.c_str(), nullptr, 10));
    next_ = std::max(next_, number + 1);
    stored_.push_back(
        {.label = label, .name = rest.substr(kNumberDigits + 1), .fd = keeper_.take(label)});
  }
}

bool FdStore::put(std::string_view name, Descriptor fd, std::uint32_t limit) {
  if (stored_.size() >= limit || !fd) return false;
  const std::string shown = clean(name);
  const std::string label = prefix_ + four_digits(next_++) + "/" + shown;
  keeper_.store(label, fd.get());
  stored_.push_back({.label = label, .name = shown, .fd = std::move(fd)});
  return true;
}

void FdStore::remove(std::string_view name) {
  const std::string shown = clean(name);
  for (const Stored& each : stored_) {
    if (each.name == shown) keeper_.drop(each.label);
  }
  std::erase_if(stored_, [&shown](const Stored& each) { return each.name == shown; });
}

void FdStore::clear() {
  for (const Stored& each : stored_) keeper_.drop(each.label);
  stored_.clear();
}

std::vector<std::pair<std::string, int>> FdStore::all() const {
  std::vector<std::pair<std::string, int>> found;
  for (const Stored& each : stored_) found.emplace_back(each.name, each.fd.get());
  return found;
}

}  // namespace recover::adapters::process
