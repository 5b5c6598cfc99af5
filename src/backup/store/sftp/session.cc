#include "backup/store/sftp/session.h"

#include <algorithm>
#include <cstring>
#include <deque>

namespace recover::backup::sftp {
namespace {

// Requests of one file under way at once: 16 MiB at OpenSSH's sizes, which fills fast, far lines.
constexpr std::size_t kInFlightMax = 64;
// Folders that are listed at once.
constexpr std::size_t kFoldersAtOnce = 32;
// A server that lists for ever is stopped; a million entries are ten thousand answers.
constexpr unsigned kListAnswersMax = 1'000'000;
constexpr std::uint64_t kReadUnasked = std::uint64_t{32} << 20U;

FailureKind kind_of(std::uint32_t code) {
  switch (code) {
    case kNoSuchFile: return FailureKind::NotFound;
    case kPermissionDenied: return FailureKind::NotPermitted;
    case kUnsupported: return FailureKind::Unsupported;
    case kNoConnection:
    case kConnectionLost: return FailureKind::Unreachable;
    default: return FailureKind::Io;
  }
}

Unexpected<Failure> nonsense() {
  return fail(FailureKind::Unreachable, "the SFTP server's answer makes no sense");
}

Unexpected<Failure> ends_before() {
  return fail(FailureKind::Damaged, "it ends before what was asked for");
}

Unexpected<Failure> status_failure(const Answer& answer) {
  if (answer.type != Type::Status) return nonsense();
  FieldReader fields(answer.payload);
  const std::uint32_t code = fields.number();
  std::string words(text_of(fields.text()));
  if (words.empty() || !fields.is_good()) words = "status " + std::to_string(code);
  return fail(kind_of(code), "the SFTP server says: " + words);
}

bool is_status(const Answer& answer, std::uint32_t code) {
  return answer.type == Type::Status && FieldReader(answer.payload).number() == code;
}

// Reads a range of an open file, many requests under way at once. Used once.
class RangeReader {
 public:
  RangeReader(Connection& connection, Bandwidth& bandwidth, const Bytes& handle,
              std::uint64_t offset, std::uint64_t length)
      : connection_(connection),
        bandwidth_(bandwidth),
        handle_(handle),
        offset_(offset),
        bytes_(static_cast<std::size_t>(length)) {}

  Outcome<Bytes> run() {
    for (ask_more(); !under_way_.empty(); ask_more()) {
      const Piece piece = under_way_.front();
      under_way_.pop_front();
      const auto answer = connection_.take(piece.ticket);
      // After a failure the rest is only taken, so that nothing is left over.
      if (failure_) continue;
      if (answer) place(piece, *answer);
      if (!answer) failure_ = answer.error();
    }
    if (failure_) return Unexpected(std::move(*failure_));
    return std::move(bytes_);
  }

 private:
  struct Piece {
    Connection::Ticket ticket;
    std::size_t at;
    std::uint32_t length;
  };

  void ask_more() {
    while (!failure_ && asked_ < bytes_.size() && under_way_.size() < kInFlightMax) {
      const auto length = static_cast<std::uint32_t>(
          std::min<std::size_t>(bytes_.size() - asked_, connection_.transfer_bytes()));
      ask(asked_, length);
      asked_ += length;
    }
  }

  void ask(std::size_t at, std::uint32_t length) {
    bandwidth_.download(length);
    const auto ticket = connection_.send(
        Type::Read, Fields().add(View(handle_)).add_long(offset_ + at).add(length).bytes());
    if (!ticket) failure_ = ticket.error();
    if (ticket) under_way_.push_back({.ticket = *ticket, .at = at, .length = length});
  }

  void place(const Piece& piece, const Answer& answer) {
    if (is_status(answer, kEof)) {
      failure_ = ends_before().error();
      return;
    }
    if (answer.type != Type::Data) {
      failure_ = status_failure(answer).error();
      return;
    }
    FieldReader fields(answer.payload);
    const View data = fields.text();
    if (data.empty() || data.size() > piece.length) {
      failure_ = nonsense().error();
      return;
    }
    std::memcpy(bytes_.data() + piece.at, data.data(), data.size());
    // Less than was asked for is no end: the rest is asked for again.
    const auto rest = static_cast<std::uint32_t>(piece.length - data.size());
    if (rest > 0) ask(piece.at + data.size(), rest);
  }

  Connection& connection_;
  Bandwidth& bandwidth_;
  const Bytes& handle_;
  std::uint64_t offset_;
  Bytes bytes_;
  std::size_t asked_ = 0;
  std::deque<Piece> under_way_;
  std::optional<Failure> failure_;
};

}  // namespace

Outcome<void> Session::take_status(Connection::Ticket ticket) {
  const auto answer = connection_->take(ticket);
  if (!answer) return Unexpected(answer.error());
  if (is_status(*answer, kOk)) return {};
  return status_failure(*answer);
}

Outcome<void> Session::ask_status(Type type, const Fields& fields) {
  const auto ticket = connection_->send(type, fields.bytes());
  if (!ticket) return Unexpected(ticket.error());
  return take_status(*ticket);
}

Outcome<Attributes> Session::stat(const std::string& path) {
  const auto answer = connection_->ask(Type::Stat, Fields().add(path).bytes());
  if (!answer) return Unexpected(answer.error());
  if (answer->type != Type::Attrs) return status_failure(*answer);
  FieldReader fields(answer->payload);
  const Attributes found = Attributes::read(fields);
  if (!fields.is_good()) return nonsense();
  return found;
}

Outcome<void> Session::make_folders(const std::vector<std::string>& paths) {
  std::vector<Connection::Ticket> under_way;
  for (const std::string& path : paths) {
    const auto ticket = connection_->send(
        Type::Mkdir, Fields().add(path).add(kHasMode).add(std::uint32_t{0700}).bytes());
    if (!ticket) return Unexpected(ticket.error());
    under_way.push_back(*ticket);
  }
  Outcome<void> done;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    auto made = take_status(under_way[i]);
    if (made || !done) continue;
    const auto there = stat(paths[i]);
    if (there && there->is_folder()) continue;
    done = fail(made.error().kind, "making " + paths[i] + ": " + made.error().message);
  }
  return done;
}

Outcome<void> Session::remove(const std::string& path) {
  return ask_status(Type::Remove, Fields().add(path));
}

Outcome<void> Session::rename(const std::string& from, const std::string& to) {
  // Version 3 says that this fails when the new name is taken; not every server keeps to it.
  if (stat(to)) return fail(FailureKind::Exists, "there is one already");
  auto renamed = ask_status(Type::Rename, Fields().add(from).add(to));
  const bool refused = !renamed && renamed.error().kind == FailureKind::Io;
  if (refused && stat(to)) return fail(FailureKind::Exists, "there is one already");
  return renamed;
}

Outcome<Session::Handle> Session::open(const std::string& path, std::uint32_t flags,
                                       std::uint32_t mode) {
  Fields fields;
  fields.add(path).add(flags);
  if ((flags & kOpenWrite) != 0) {
    fields.add(kHasMode).add(mode);
  } else {
    fields.add(std::uint32_t{0});
  }
  const auto answer = connection_->ask(Type::Open, fields.bytes());
  if (!answer) return Unexpected(answer.error());
  if (answer->type != Type::Handle) return status_failure(*answer);
  FieldReader reader(answer->payload);
  const View handle = reader.text();
  if (!reader.is_good()) return nonsense();
  return Handle(handle.begin(), handle.end());
}

Outcome<void> Session::close(const Handle& handle) {
  return ask_status(Type::Close, Fields().add(View(handle)));
}

Outcome<void> Session::sync(const Handle& handle) {
  if (!connection_->has("fsync@openssh.com")) return {};
  return ask_status(Type::Extended, Fields().add("fsync@openssh.com").add(View(handle)));
}

Outcome<Bytes> Session::read_open(const Handle& handle, std::uint64_t offset,
                                  std::uint64_t length) {
  return RangeReader(*connection_, *bandwidth_, handle, offset, length).run();
}

Outcome<Bytes> Session::read(const std::string& path, std::uint64_t offset, std::uint64_t length) {
  // Before there is room for them: a length may be anything that a damaged index says. Of a little
  // one, the reading itself tells.
  if (length > kReadUnasked || length == 0) {
    const auto found = stat(path);
    if (!found) return Unexpected(found.error());
    const std::uint64_t size = found->size.value_or(0);
    if (offset > size || length > size - offset) return ends_before();
    if (length == 0) return Bytes();
  }
  const auto handle = open(path, kOpenRead, 0);
  if (!handle) return Unexpected(handle.error());
  auto bytes = read_open(*handle, offset, length);
  (void)close(*handle);
  return bytes;
}

Outcome<Bytes> Session::read_whole(const std::string& path, std::uint64_t bytes_most) {
  const auto found = stat(path);
  if (!found) return Unexpected(found.error());
  if (!found->may_be_file()) return fail(FailureKind::Damaged, "it is no file");
  const std::uint64_t size = found->size.value_or(0);
  if (size > bytes_most) {
    return fail(FailureKind::Damaged, "it is larger than such a file may be");
  }
  return read(path, 0, size);
}

Outcome<void> Session::write_open(const Handle& handle, View bytes) {
  std::deque<Connection::Ticket> under_way;
  Outcome<void> done;
  std::uint64_t at = 0;
  while (!under_way.empty() || (done && !bytes.empty())) {
    while (done && !bytes.empty() && under_way.size() < kInFlightMax) {
      const View piece =
          bytes.first(std::min<std::size_t>(bytes.size(), connection_->transfer_bytes()));
      bandwidth_->upload(piece.size());
      const auto ticket = connection_->send(
          Type::Write, Fields().add(View(handle)).add_long(at).add(piece).bytes());
      if (!ticket) {
        done = Unexpected(ticket.error());
        break;
      }
      under_way.push_back(*ticket);
      at += piece.size();
      bytes = bytes.subspan(piece.size());
    }
    if (under_way.empty()) break;
    auto written = take_status(under_way.front());
    under_way.pop_front();
    if (done) done = std::move(written);
  }
  return done;
}

Outcome<void> Session::write_new(const std::string& path, std::uint32_t mode, View bytes) {
  const auto handle = open(path, kOpenWrite | kOpenCreate | kOpenExclusive, mode);
  if (!handle) return Unexpected(handle.error());
  auto done = write_open(*handle, bytes);
  if (done) done = sync(*handle);
  auto closed = close(*handle);
  return done ? std::move(closed) : std::move(done);
}

void Session::sync_folder(const std::string& path) {
  const auto handle = open(path, kOpenRead, 0);
  if (!handle) return;
  (void)sync(*handle);
  (void)close(*handle);
}

Outcome<std::vector<Session::Entry>> Session::read_folder(const Handle& handle) {
  std::vector<Entry> entries;
  for (unsigned answers = 0; answers < kListAnswersMax; ++answers) {
    const auto answer = connection_->ask(Type::Readdir, Fields().add(View(handle)).bytes());
    if (!answer) return Unexpected(answer.error());
    if (is_status(*answer, kEof)) return entries;
    if (answer->type != Type::Name) return status_failure(*answer);
    FieldReader fields(answer->payload);
    const std::uint32_t count = fields.number();
    for (std::uint32_t i = 0; i < count && fields.is_good(); ++i) {
      std::string name(text_of(fields.text()));
      fields.text();  // As `ls -l` shows it.
      entries.push_back({.name = std::move(name), .attributes = Attributes::read(fields)});
    }
    if (!fields.is_good()) return nonsense();
  }
  return fail(FailureKind::Io, "the list of a folder has no end");
}

Outcome<std::vector<Session::Entry>> Session::read_opened_folder(Connection::Ticket opening) {
  const auto answer = connection_->take(opening);
  if (!answer) return Unexpected(answer.error());
  if (is_status(*answer, kNoSuchFile)) return std::vector<Entry>();
  if (answer->type != Type::Handle) return status_failure(*answer);
  FieldReader fields(answer->payload);
  const View text = fields.text();
  const Handle handle(text.begin(), text.end());
  auto entries = read_folder(handle);
  (void)close(handle);
  return entries;
}

Outcome<std::vector<std::vector<Session::Entry>>> Session::list(
    const std::vector<std::string>& folders) {
  std::vector<std::vector<Entry>> lists;
  std::deque<Connection::Ticket> opening;
  std::optional<Failure> failure;
  for (std::size_t asked = 0; asked < folders.size() || !opening.empty();) {
    const bool more = !failure && asked < folders.size() && opening.size() < kFoldersAtOnce;
    if (more) {
      const auto ticket = connection_->send(Type::Opendir, Fields().add(folders[asked++]).bytes());
      if (ticket) opening.push_back(*ticket);
      if (!ticket) failure = ticket.error();
      continue;
    }
    if (opening.empty()) break;
    // Also after a failure: what was opened is closed.
    auto entries = read_opened_folder(opening.front());
    opening.pop_front();
    if (!entries && !failure) failure = entries.error();
    if (entries) lists.push_back(std::move(*entries));
  }
  if (failure) return Unexpected(std::move(*failure));
  return lists;
}

bool Session::has_room(const std::string& folder, std::uint64_t bytes) {
  if (!connection_->has("statvfs@openssh.com")) return true;
  const auto answer =
      connection_->ask(Type::Extended, Fields().add("statvfs@openssh.com").add(folder).bytes());
  if (!answer || answer->type != Type::ExtendedReply) return true;
  FieldReader fields(answer->payload);
  fields.long_number();  // The file system's block size.
  const std::uint64_t fragment = fields.long_number();
  fields.long_number();  // All blocks.
  fields.long_number();  // Those free for root.
  const std::uint64_t free_blocks = fields.long_number();
  fields.long_number();  // All inodes.
  fields.long_number();  // Those free for root.
  const std::uint64_t free_inodes = fields.long_number();
  if (!fields.is_good() || fragment == 0) return true;
  return free_blocks > bytes / fragment && free_inodes > 0;
}

}  // namespace recover::backup::sftp
