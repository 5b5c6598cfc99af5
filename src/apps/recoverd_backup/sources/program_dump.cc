#include "apps/recoverd_backup/sources/program_dump.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

constexpr std::chrono::milliseconds kStopPeriod{200};  // How late a stop is noticed.
constexpr std::size_t kLastKept = 256;

class ProgramDump final : public Dump {
 public:
  ProgramDump(std::unique_ptr<ProgramRun> run, std::string name, std::string last_words,
              std::stop_token stop)
      : run_(std::move(run)),
        name_(std::move(name)),
        last_words_(std::move(last_words)),
        stop_(std::move(stop)) {}

  Outcome<std::size_t> read(std::span<std::uint8_t> room) override {
    const int from = run_->output().get();
    if (auto ready = wait_readable(from, stop_); !ready) return Unexpected(ready.error());
    const ssize_t got = ::read(from, room.data(), room.size());
    if (got < 0) return backup::system_failure("reading from", name_);
    keep_last(room.first(static_cast<std::size_t>(got)));
    return static_cast<std::size_t>(got);
  }

  Outcome<void> finish() override {
    run_->output().reset();
    if (auto ended = run_->wait(); !ended) return ended;
    if (last_.find(last_words_) != std::string::npos) return {};
    return backup::fail(FailureKind::Io, name_ + ": it ended with 0, and without `" + last_words_ +
                                             "` at the end of what it printed");
  }

 private:
  void keep_last(std::span<const std::uint8_t> bytes) {
    if (last_words_.empty()) return;
    const auto tail = bytes.last(std::min(bytes.size(), kLastKept));
    last_.append(tail.begin(), tail.end());
    if (last_.size() > kLastKept) last_.erase(0, last_.size() - kLastKept);
  }

  std::unique_ptr<ProgramRun> run_;
  std::string name_;
  std::string last_words_;
  std::string last_;
  std::stop_token stop_;
};

}  // namespace

Outcome<std::unique_ptr<Dump>> dump_of(ProgramSpec spec, std::stop_token stop,
                                       std::string last_words) {
  spec.reads_output = true;
  auto run = ProgramRun::start(spec);
  if (!run) return Unexpected(std::move(run.error()));
  return std::unique_ptr<Dump>(std::make_unique<ProgramDump>(
      std::move(*run), spec.command.front(), std::move(last_words), std::move(stop)));
}

std::function<Outcome<std::unique_ptr<Dump>>()> dump_later(ProgramSpec spec, std::stop_token stop,
                                                           std::string last_words) {
  return [spec = std::move(spec), stop = std::move(stop), last_words = std::move(last_words)] {
    return dump_of(spec, stop, last_words);
  };
}

Outcome<std::string> text_of(ProgramSpec spec, const std::stop_token& stop) {
  const std::string name = spec.command.front();
  const auto dump = dump_of(std::move(spec), stop);
  if (!dump) return Unexpected(dump.error());
  std::string text;
  std::vector<std::uint8_t> room(65536);
  for (;;) {
    const auto got = (*dump)->read(room);
    if (!got) return Unexpected(got.error());
    if (*got == 0) break;
    text.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*got));
    if (text.size() > kProgramTextMax) {
      return backup::fail(FailureKind::Io, name + ": it printed more than 4 MiB");
    }
  }
  if (auto ended = (*dump)->finish(); !ended) return Unexpected(std::move(ended.error()));
  return text;
}

Outcome<posix::Descriptor> secret_file(std::string_view text, const Account* account) {
  posix::Descriptor file(::memfd_create("secret", MFD_CLOEXEC));
  const backup::View bytes(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  const bool done = file && ::fchmod(file.get(), 0600) == 0 &&
                    backup::write_all(file.get(), bytes) &&
                    (account == nullptr || ::fchown(file.get(), account->uid, account->gid) == 0);
  if (!done) return backup::system_failure("writing", "a file in memory");
  return file;
}

Outcome<void> wait_readable(int descriptor, const std::stop_token& stop,
                            std::chrono::seconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    if (stop.stop_requested()) {
      return backup::fail(FailureKind::Invalid, "the backup was stopped before its end");
    }
    if (std::chrono::steady_clock::now() > end) {
      return backup::fail(FailureKind::Unreachable,
                          "nothing came for " + std::to_string(limit.count()) + " s");
    }
    pollfd ready{.fd = descriptor, .events = POLLIN, .revents = 0};
    const int count = ::poll(&ready, 1, static_cast<int>(kStopPeriod.count()));
    if (count > 0) return {};
    if (count < 0 && errno != EINTR) return backup::system_failure("waiting for", "its output");
  }
}

}  // namespace recover::apps
