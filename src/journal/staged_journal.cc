#include "journal/staged_journal.h"

#include <algorithm>
#include <iterator>
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
  auto file = StageFile::open(beside(options.path, "stage"), options.vfs);
  std::optional<StageFile> stage;
  if (file) stage = std::move(*file);
  std::unique_ptr<StagedJournal> staged(
      new StagedJournal(std::move(journal), std::move(stage), std::move(cipher)));
  if (auto taken = staged->take_over(); !taken) return Unexpected(std::move(taken).error());
  (void)staged->settle();  // Or later: they are held.
  return staged;
}

StagedJournal::~StagedJournal() {
  (void)settle();
}

// What follows the database's head, after what it has already: a transaction that was reported as
// failed, or one whose end we did not live to see.
Result<void, JournalError> StagedJournal::take_over() {
  if (!file_) return {};
  const auto held = file_->read(kStageFileMax);
  if (!held) return Unexpected(held.error());
  std::string_view text = *held;
  const auto first = frame_start(text);
  if (!first || *first > waiting_.stored + 1) return {};
  const auto before = journal_->hash_before(*first);
  if (!before) return Unexpected(before.error());
  if (!*before) return {};
  digest_ = **before;
  for (std::uint64_t next = *first; !text.empty();) {
    const auto frame = read_frame(text, hasher_, digest_);
    if (!frame || frame->first != next) break;
    auto entries = entries_in(*frame);
    if (!entries) {
      waiting_.entries.push_back(tampered_entry(entries.error().message));
      break;
    }
    next += entries->size();
    if (frame->first > waiting_.last()) {
      std::ranges::move(*entries, std::back_inserter(waiting_.entries));
    }
    digest_ = frame->digest;
    offset_ += frame->bytes;
    text.remove_prefix(frame->bytes);
  }
  if (waiting_.entries.empty()) rewind();
  return {};
}

Result<std::vector<Entry>, JournalError> StagedJournal::entries_in(const Frame& frame) const {
  std::string opened;
  if (cipher_) {
    auto text = cipher_->open(frame.first, kFrameKind, frame.payload);
    if (!text) return Unexpected(std::move(text).error());
    opened = std::move(*text);
  }
  auto entries = decode_entries(cipher_ ? std::string_view(opened) : frame.payload);
  if (entries) return std::move(*entries);
  return Unexpected(JournalError{.message = "journal: the stage holds what is no entry",
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
    if (file_ && fits(entries) && stage(entries)) return waiting_.last();
  }
  if (auto done = settle(); !done) return Unexpected(std::move(done).error());
  auto done = journal_->append(entries, durability);
  if (done) rewind();
  return done;
}

Result<void, JournalError> StagedJournal::settle() {
  if (settled()) return {};
  const std::vector<Entry> entries(waiting_.entries.begin(), waiting_.entries.end());
  const auto done = journal_->append(entries, Durability::ProcessCrash);
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
