#include "journal/staged_journal.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "journal/file.h"
#include "journal/stage_frame.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::Filter;
using ports::JournalError;
using ports::JournalFault;
using ports::StoredEntry;
using ports::Verification;

// No row has this kind, so a sealed frame cannot be put into the place of a sealed body.
constexpr auto kFrameKind = static_cast<EntryKind>(0xFF);
// More than a filling ever takes, encoded and sealed.
constexpr std::size_t kStageFileMax = 4 * kStagedBytesMax;
constexpr std::size_t kEntryOverhead = 64;

std::size_t staged_bytes(std::span<const Entry> entries) {
  std::size_t bytes = 0;
  for (const Entry& entry : entries) {
    bytes += kEntryOverhead + entry.body.size() + entry.type.size() + entry.service.size();
  }
  return bytes;
}

}  // namespace

StagedJournal::StagedJournal(std::unique_ptr<SqliteJournal> journal, std::optional<StageFile> file,
                             std::optional<Cipher> cipher)
    : journal_(std::move(journal)), file_(std::move(file)), cipher_(std::move(cipher)) {
  waiting_.stored = journal_->head().sequence;
  digest_ = journal_->head().hash;
}

Result<std::unique_ptr<StagedJournal>, JournalError> StagedJournal::open(
    std::unique_ptr<SqliteJournal> journal, const OpenOptions& options) {
  std::optional<Cipher> cipher;
  if (!options.key.empty()) {
    auto made = Cipher::from(options.key);
    if (!made) return Unexpected(std::move(made).error());
    cipher = *made;
  }
  const std::string path = beside(options.path, "stage");
  const bool exists = ::access(path.c_str(), F_OK) == 0 || errno != ENOENT;
  auto file = StageFile::open(path, options.vfs);
  // Gone on without, what it holds would be lost, or taken for new after another past.
  if (!file && exists) return Unexpected(std::move(file).error());
  std::optional<StageFile> stage;
  if (file) stage = std::move(*file);
  std::unique_ptr<StagedJournal> staged(
      new StagedJournal(std::move(journal), std::move(stage), std::move(cipher)));
  if (auto taken = staged->take_over(); !taken) return Unexpected(std::move(taken).error());
  // Or later: they are held.
  if (staged->settle() && staged->left_over_) staged->empty_stage();
  return staged;
}

StagedJournal::~StagedJournal() {
  if (settle()) empty_stage();
}

// Best effort: what the database has is told from what it has not in any case.
void StagedJournal::empty_stage() {
  if (file_) (void)file_->truncate();
}

// What follows the database's head, after what it has already: a transaction that was reported as
// failed, or one whose end we did not live to see.
Result<void, JournalError> StagedJournal::take_over() {
  if (!file_) return {};
  const auto held = file_->read(kStageFileMax);
  if (!held) return Unexpected(held.error());
  std::string_view text = *held;
  left_over_ = !text.empty();
  const auto first = frame_start(text);
  if (!first || *first > waiting_.stored + 1) return {};
  const auto before = journal_->hash_before(*first);
  if (!before) return Unexpected(before.error());
  if (!*before) return {};
  const auto plain = journal_->accepts_plain();
  if (!plain) return Unexpected(plain.error());
  bool plain_allowed = *plain;
  digest_ = **before;
  for (std::uint64_t next = *first; !text.empty();) {
    const auto frame = read_frame(text, hasher_, digest_);
    if (!frame || frame->first != next) break;
    auto held_frame = entries_in(*frame);
    const auto taken = take(*frame, held_frame, plain_allowed);
    if (!taken) return Unexpected(taken.error());
    if (!*taken) break;
    next += held_frame->entries.size();
    plain_allowed = plain_allowed && held_frame->plain;
    digest_ = frame->digest;
    offset_ += frame->bytes;
    text.remove_prefix(frame->bytes);
  }
  if (waiting_.entries.empty()) rewind();
  return {};
}

// Takes what the database does not have of a frame. False: it, and what follows, is not ours.
Result<bool, JournalError> StagedJournal::take(const Frame& frame,
                                               const Result<Opened, JournalError>& opened,
                                               bool plain_allowed) {
  if (!opened) {
    waiting_.entries.push_back(tampered_entry(opened.error().message));
    return false;
  }
  const std::span<const Entry> entries = opened->entries;
  const std::uint64_t stored = waiting_.stored;
  const std::size_t known =
      frame.first > stored ? 0 : std::min<std::size_t>(entries.size(), stored + 1 - frame.first);
  const auto same = database_has(frame.first, entries.first(known));
  if (!same) return Unexpected(same.error());
  const bool refused = known < entries.size() && opened->plain && !plain_allowed;
  if (!*same || refused) {
    if (!*same) waiting_.entries.clear();
    waiting_.entries.push_back(
        tampered_entry("journal.stage is not what the journal knows from entry " +
                       std::to_string(frame.first) + " on; it was not taken over"));
    return false;
  }
  const auto rest = entries.subspan(known);
  waiting_.entries.insert(waiting_.entries.end(), rest.begin(), rest.end());
  return true;
}

// REQUIRES: the database's head is not before the last of them.
Result<bool, JournalError> StagedJournal::database_has(std::uint64_t first,
                                                       std::span<const Entry> entries) {
  if (entries.empty()) return true;
  std::size_t same = 0;
  const auto done = journal_->replay(first, [&](const StoredEntry& row) {
    const bool equal = row.sequence == first + same &&
                       encode_entries({&row.entry, 1}) == encode_entries(entries.subspan(same, 1));
    same += equal ? 1 : 0;
    return equal && same < entries.size();
  });
  // A row that does not open is none of ours.
  if (!done && done.error().fault != JournalFault::WrongKey) return Unexpected(done.error());
  return same == entries.size();
}

// One written before the journal had a key is plain.
Result<StagedJournal::Opened, JournalError> StagedJournal::entries_in(const Frame& frame) const {
  if (cipher_) {
    if (const auto text = cipher_->open(frame.first, kFrameKind, frame.payload)) {
      if (auto entries = decode_entries(*text)) {
        return Opened{.entries = std::move(*entries), .plain = false};
      }
    }
  }
  if (auto entries = decode_entries(frame.payload)) {
    return Opened{.entries = std::move(*entries), .plain = true};
  }
  return Unexpected(JournalError{.message = "journal.stage: what begins with entry " +
                                            std::to_string(frame.first) +
                                            " cannot be read: another key, or a changed entry",
                                 .fault = JournalFault::Corrupt});
}

// The next frame overwrites the first. Those behind it build on others, so nobody reads them.
void StagedJournal::rewind() {
  offset_ = 0;
  digest_ = journal_->head().hash;
  waiting_.stored = journal_->head().sequence;
}

bool StagedJournal::fits(std::span<const Entry> entries) const {
  return waiting_.entries.size() + entries.size() <= kStagedEntriesMax &&
         offset_ + staged_bytes(entries) <= kStagedBytesMax;
}

bool StagedJournal::stage(std::span<const Entry> entries) {
  std::string payload = encode_entries(entries);
  const std::uint64_t first = waiting_.last() + 1;
  if (cipher_) {
    auto sealed = cipher_->seal(first, kFrameKind, payload);
    if (!sealed) return false;
    payload = std::move(*sealed);
  }
  const Digest digest = write_frame(frame_, hasher_, digest_, first, payload);
  if (!file_->write(offset_, frame_)) return false;
  offset_ += frame_.size();
  digest_ = digest;
  waiting_.entries.insert(waiting_.entries.end(), entries.begin(), entries.end());
  return true;
}

Result<std::uint64_t, JournalError> StagedJournal::append(std::span<const Entry> entries,
                                                          Durability durability) {
  if (durability == Durability::ProcessCrash) {
    if (entries.empty()) return waiting_.last();
    if (auto done = check_bounds(entries); !done) return Unexpected(std::move(done).error());
    if (!fits(entries)) (void)settle();
    if (file_ && !in_doubt_ && fits(entries) && stage(entries)) return waiting_.last();
  }
  if (auto done = settle(); !done) return Unexpected(std::move(done).error());
  auto done = journal_->append(entries, durability);
  if (done) {
    rewind();
    in_doubt_ = false;
  } else if (done.error().fault != JournalFault::Invalid) {
    in_doubt_ = true;
  }
  return done;
}

Result<void, JournalError> StagedJournal::settle() {
  if (settled()) return {};
  const std::vector<Entry> entries(waiting_.entries.begin(), waiting_.entries.end());
  const auto done = journal_->append(entries, Durability::ProcessCrash);
  in_doubt_ = !done;
  if (!done) return Unexpected(done.error());
  waiting_.entries.clear();
  rewind();
  return {};
}

Result<void, JournalError> StagedJournal::replay(
    std::uint64_t first, const std::function<bool(const StoredEntry&)>& visit) {
  (void)settle();
  bool go_on = true;
  auto done =
      journal_->replay(first, [&](const StoredEntry& entry) { return go_on = visit(entry); });
  if (done && go_on) (void)waiting_.replay(first, visit);
  return done;
}

Result<std::optional<StoredEntry>, JournalError> StagedJournal::latest(EntryKind kind) {
  (void)settle();
  if (auto newest = waiting_.latest(kind)) return newest;
  return journal_->latest(kind);
}

Result<std::vector<StoredEntry>, JournalError> StagedJournal::find(const Filter& filter) {
  (void)settle();
  auto found = journal_->find(filter);
  if (!found || settled()) return found;
  return waiting_.find(filter, std::move(*found));
}

Result<Verification, JournalError> StagedJournal::verify() {
  (void)settle();
  return journal_->verify();
}

}  // namespace recover::journal
