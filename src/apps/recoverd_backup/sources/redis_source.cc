#include "apps/recoverd_backup/sources/redis_source.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <sstream>
#include <utility>

#include "apps/recoverd_backup/sources/program_dump.h"
#include "apps/recoverd_backup/sources/rdb_check.h"
#include "apps/recoverd_backup/sources/redis_connection.h"
#include "apps/recoverd_backup/sources/scratch_server.h"
#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

constexpr const char* kRdbFile = "dump.rdb";

// The RDB of a replica's first synchronisation. Either so many bytes, or (`diskless`) until a mark
// that the server has chosen.
class RdbTransfer final : public Dump {
 public:
  RdbTransfer(RedisConnection connection, std::string name)
      : connection_(std::move(connection)), name_(std::move(name)) {}

  Outcome<void> begin() {
    // Both may be unknown to an older server: then it sends a length, and what comes after.
    for (const auto& words : std::vector<std::vector<std::string>>{{"REPLCONF", "capa", "eof"},
                                                                   {"REPLCONF", "rdb-only", "1"}}) {
      auto answer = connection_.ask(words);
      if (!answer && answer.error().kind != FailureKind::Io) return trouble(answer.error());
      if (!answer && answer.error().message.starts_with("NOAUTH")) return trouble(answer.error());
    }
    if (auto sent = connection_.send({"SYNC"}); !sent) return trouble(sent.error());
    for (;;) {
      const auto line = connection_.line();
      if (!line) return trouble(line.error());
      if (!line->empty()) return take_header(*line);
    }
  }

  Outcome<std::size_t> read(std::span<std::uint8_t> room) override {
    auto count = mark_.empty() ? read_counted(room) : read_marked(room);
    if (count) check_.add(room.first(*count));
    if (count) passed_ += *count;
    return count;
  }

  Outcome<void> finish() override {
    const std::string fault = check_.fault();
    if (fault.empty()) return {};
    return backup::fail(FailureKind::Damaged, name_ + ": " + fault);
  }

 private:
  Unexpected<backup::Failure> trouble(const backup::Failure& why) const {
    return backup::fail(why.kind, name_ + ": " + why.message);
  }
  Unexpected<backup::Failure> broken_off() const {
    return backup::fail(FailureKind::Unreachable, name_ + ": the transfer broke off after " +
                                                      std::to_string(passed_) + " bytes");
  }

  Outcome<void> take_header(const std::string& line) {
    constexpr std::string_view kMarked = "$EOF:";
    constexpr std::size_t kMarkBytes = 40;
    if (line.starts_with('-')) {
      const bool permission = line.starts_with("-NOAUTH") || line.starts_with("-NOPERM");
      return backup::fail(permission ? FailureKind::NotPermitted : FailureKind::Io,
                          name_ + ": " + line.substr(1));
    }
    if (line.starts_with(kMarked) && line.size() == kMarked.size() + kMarkBytes) {
      mark_ = line.substr(kMarked.size());
      return {};
    }
    const char* const end = line.data() + line.size();
    const auto number = std::from_chars(line.data() + 1, end, left_);
    if (line.starts_with('$') && number.ec == std::errc() && number.ptr == end) return {};
    return backup::fail(FailureKind::Io, name_ + ": it answered SYNC with `" + line + "`");
  }

  Outcome<std::size_t> read_counted(std::span<std::uint8_t> room) {
    const auto wanted = std::min<std::uint64_t>(room.size(), left_);
    if (wanted == 0) return std::size_t{0};
    auto got = connection_.read(room.first(static_cast<std::size_t>(wanted)));
    if (!got) return trouble(got.error());
    if (*got == 0) return broken_off();
    left_ -= *got;
    return got;
  }

  // Gives what certainly is not the mark; a mark ends the stream of this kind of transfer.
  Outcome<std::size_t> read_marked(std::span<std::uint8_t> room) {
    while (!ended_ && held_.size() <= mark_.size()) {
      std::vector<std::uint8_t> more(kPiece);
      const auto got = connection_.read(more);
      if (!got) return trouble(got.error());
      if (*got == 0) return broken_off();
      held_.append(more.begin(), more.begin() + static_cast<std::ptrdiff_t>(*got));
      if (held_.ends_with(mark_)) {
        ended_ = true;
        held_.resize(held_.size() - mark_.size());
      }
    }
    const std::size_t free = ended_ ? held_.size() : held_.size() - mark_.size();
    const std::size_t count = std::min(room.size(), free);
    std::memcpy(room.data(), held_.data(), count);
    held_.erase(0, count);
    return count;
  }

  static constexpr std::size_t kPiece = std::size_t{256} << 10U;

  RedisConnection connection_;
  std::string name_;
  RdbCheck check_;
  std::string mark_;
  std::string held_;  // Received, not given out: at most kPiece and a mark.
  std::uint64_t left_ = 0;
  std::uint64_t passed_ = 0;
  bool ended_ = false;
};

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

class RedisRdb final : public Source {
 public:
  RedisRdb(const core::RedisSource& source, std::stop_token stop)
      : source_(source), stop_(std::move(stop)) {}

  std::vector<std::string> secrets() const override { return {source_.password.reveal()}; }

  Outcome<std::vector<DumpFile>> files() override {
    return std::vector<DumpFile>{{.name = kRdbFile, .open = [this] { return open(); }}};
  }

  Outcome<DrillAnswer> drill(const ScratchFolder& folder, const std::vector<std::string>& files,
                             const std::string& query) override {
    core::RedisSource restored;
    restored.socket = folder.by_descriptor("socket");
    ProgramSpec spec{.command = {"redis-server", "--port", "0", "--unixsocket",
                                 ScratchFolder::handed("socket"), "--dir",
                                 ScratchFolder::handed(""), "--dbfilename", files.front(), "--save",
                                 "", "--appendonly", "no", "--daemonize", "no"}};
    spec.handed = {folder.descriptor()};
    spec.folder = "/";
    const auto account = Account::first_of({"redis", "nobody"});
    if (account) {
      for (const std::string& path : {folder.path(), folder / files.front()}) {
        if (::chown(path.c_str(), account->uid, account->gid) != 0) {
          return backup::system_failure("giving away", path);
        }
      }
      spec.account = &*account;
    }
    auto server = ScratchServer::start(
        spec, [&] { return is_loaded(restored); }, stop_);
    if (!server) return Unexpected(std::move(server.error()));
    auto connection = RedisConnection::open(restored, stop_);
    if (!connection) return Unexpected(std::move(connection.error()));
    const auto words = words_of(query);
    auto answer = words.empty() ? keys_of(*connection) : connection->ask(words);
    if (!answer) return Unexpected(std::move(answer.error()));
    return DrillAnswer{.asked = words.empty() ? "how many keys there are" : query,
                       .answer = std::move(*answer)};
  }

 private:
  Outcome<std::unique_ptr<Dump>> open() {
    auto connection = RedisConnection::open(source_, stop_);
    if (!connection) return Unexpected(std::move(connection.error()));
    auto transfer = std::make_unique<RdbTransfer>(std::move(*connection), where(source_));
    if (auto begun = transfer->begin(); !begun) return Unexpected(std::move(begun.error()));
    return std::unique_ptr<Dump>(std::move(transfer));
  }

  // While it loads it answers PING with an error.
  bool is_loaded(const core::RedisSource& restored) const {
    auto connection = RedisConnection::open(restored, stop_);
    return connection && connection->ask({"PING"}).has_value();
  }

  // Of all its databases.
  static Outcome<std::string> keys_of(RedisConnection& connection) {
    const auto text = connection.ask({"INFO", "keyspace"});
    if (!text) return text;
    std::uint64_t count = 0;
    for (auto at = text->find("keys="); at != std::string::npos; at = text->find("keys=", at + 1)) {
      std::uint64_t keys = 0;
      std::from_chars(text->data() + at + 5, text->data() + text->size(), keys);
      count += keys;
    }
    return std::to_string(count);
  }

  const core::RedisSource& source_;
  std::stop_token stop_;
};

}  // namespace

std::unique_ptr<Source> make_redis_source(const core::RedisSource& source, std::stop_token stop) {
  return std::make_unique<RedisRdb>(source, std::move(stop));
}

}  // namespace recover::apps
