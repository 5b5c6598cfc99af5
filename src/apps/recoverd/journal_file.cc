#include "apps/recoverd/journal_file.h"

#include <chrono>
#include <thread>
#include <utility>

namespace recover::apps {

using ports::JournalFault;

namespace {

constexpr int kLockedTries = 50;
constexpr std::chrono::milliseconds kLockedPause{100};

template <class Opened>
bool is_locked(const Opened& opened) {
  return !opened && opened.error().fault == JournalFault::Locked;
}

}  // namespace

Result<std::unique_ptr<ports::Journal>, ports::JournalError> JournalFile::open_file(
    std::vector<std::string>& warnings) {
  auto salvaged = journal::open_or_salvage(options_);
  if (!salvaged) {
    staged_ = nullptr;
    return Unexpected(std::move(salvaged).error());
  }
  if (!salvaged->moved_to.empty()) {
    warnings.push_back("the journal was corrupt; it is kept as " + salvaged->moved_to +
                       " and a new one was begun");
  }
  auto staged = journal::StagedJournal::open(std::move(salvaged->journal), options_);
  staged_ = staged ? staged->get() : nullptr;
  if (!staged) return Unexpected(std::move(staged).error());
  return std::unique_ptr<ports::Journal>(std::move(*staged));
}

Result<std::vector<std::string>, std::string> JournalFile::open(
    const std::string& path, base::Secret key, std::function<void(bool)> on_degraded) {
  options_.path = path;
  options_.key = std::move(key);
  std::vector<std::string> warnings;
  auto opened = open_file(warnings);
  // What a dead engine had started holds its lock until it notices, too.
  for (int tries = 0; tries < kLockedTries && is_locked(opened); ++tries) {
    std::this_thread::sleep_for(kLockedPause);
    opened = open_file(warnings);
  }
  if (!opened) {
    const ports::JournalError& error = opened.error();
    const bool fatal = error.fault == JournalFault::WrongKey ||
                       error.fault == JournalFault::Version || error.fault == JournalFault::Locked;
    if (fatal) return Unexpected(error.message);
    warnings.push_back("going on without a journal on disk: " + error.message);
  }
  journal::ResilientOptions resilient{.open =
                                          [this] {
                                            std::vector<std::string> ignored;
                                            return open_file(ignored);
                                          },
                                      .on_degraded = std::move(on_degraded)};
  resilient_ = std::make_unique<journal::ResilientJournal>(opened ? std::move(*opened) : nullptr,
                                                           std::move(resilient));
  return warnings;
}

bool JournalFile::is_sealed() const {
  if (options_.key.empty()) return true;
  return staged_ != nullptr && !staged_->database().accepts_plain().value_or(true);
}

void JournalFile::settle() {
  if (settled()) return;
  if (auto done = staged_->settle(); !done) resilient_->refused(std::move(done).error());
}

Result<void, std::string> JournalFile::prune() {
  if (staged_ == nullptr || resilient_->degraded()) return {};
  const auto pruned =
      staged_->database().prune({.keep_after_wall_ns = std::nullopt, .keep_entries = kKeepEntries});
  if (!pruned) return Unexpected(pruned.error().message);
  return {};
}

}  // namespace recover::apps
