#include "backup/repo/blob_saver.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "backup/local/file.h"

namespace recover::backup {

BlobSaver::BlobSaver(const Repository& repository, const BlobIndex& index, std::size_t pack_bytes)
    : repository_(repository),
      index_(index),
      pack_bytes_(pack_bytes),
      claimed_(index.spill_folder()),
      cipher_(repository.key()),
      growth_(index),
      writer_([this] { run_writer(); }),
      finisher_([this] { run_finisher(); }) {
  for (const BlobType type : {BlobType::Data, BlobType::Tree}) {
    builders_[static_cast<std::size_t>(type)].reserve(room_bytes(type));
  }
}

BlobSaver::~BlobSaver() {
  close();
}

void BlobSaver::close() {
  {
    const std::lock_guard lock(queue_mutex_);
    closing_ = true;
  }
  queue_changed_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (finisher_.joinable()) finisher_.join();
}

bool BlobSaver::claim(const BlobKey& key) {
  if (index_.contains(key)) return true;
  SpilledKeys::Key brief{};
  std::memcpy(brief.data(), key.id.bytes.data(), sizeof brief);
  brief[1] = (brief[1] & ~std::uint64_t{1}) | (key.type == BlobType::Tree ? 1U : 0U);
  const std::lock_guard lock(claims_mutex_);
  return !claimed_.insert(brief);
}

Outcome<void> BlobSaver::store(BlobCodec& codec, BlobType type, const Digest& id, View plain) {
  const auto sealed = codec.seal(type, id, plain);
  if (!sealed) return Unexpected(sealed.error());
  std::optional<FilledPack> full;
  {
    const std::lock_guard lock(builders_mutex_);
    PackBuilder& builder = builders_[static_cast<std::size_t>(type)];
    const std::size_t target = target_bytes(type);
    if (builder.would_exceed(sealed->bytes.size(), target)) full = release(type);
    builder.take(sealed->entry, sealed->bytes);
    ++(type == BlobType::Data ? saved_.data_blobs : saved_.tree_blobs);
    saved_.plain_bytes += plain.size();
    saved_.stored_bytes += sealed->bytes.size();
    // Only the number of blobs can still fill it, or one that is a pack by itself.
    if (!full && builder.is_full(target)) full = release(type);
  }
  return full ? enqueue(std::move(*full)) : Outcome<void>();
}

Outcome<void> BlobSaver::store_long(BlobCodec& codec, const Digest& id, const Pieces& text) {
  auto file = SpilledText::open(index_.spill_folder());
  if (!file) return system_failure("making a file in", index_.spill_folder());
  auto sealed = codec.seal_long(id, text, *file);
  if (!sealed) return Unexpected(std::move(sealed.error()));
  {
    const std::lock_guard lock(builders_mutex_);
    ++saved_.tree_blobs;
    saved_.plain_bytes += text.size;
    saved_.stored_bytes += sealed->length;
  }
  return enqueue({.entries = {*sealed}, .bytes = {}, .file = std::move(*file)});
}

std::size_t BlobSaver::target_bytes(BlobType type) const {
  return type == BlobType::Tree ? std::min(pack_bytes_, kTreePackBytesDefault) : pack_bytes_;
}

// With its header: room that had to grow would be copied, and be twice the size.
std::size_t BlobSaver::room_bytes(BlobType type) const {
  constexpr std::size_t kHeaderRoom = std::size_t{256} << 10U;
  return target_bytes(type) + kHeaderRoom;
}

FilledPack BlobSaver::release(BlobType type) {
  const auto kind = static_cast<std::size_t>(type);
  FilledPack pack = builders_[kind].release(std::exchange(rooms_[kind], {}));
  builders_[kind].reserve(room_bytes(type));
  return pack;
}

Outcome<void> BlobSaver::enqueue(FilledPack pack) {
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait(lock, [&] { return waiting_.size() < kWaitingPacksMax || failure_; });
  if (failure_) return Unexpected(*failure_);
  waiting_.push_back(std::move(pack));
  queue_changed_.notify_all();
  return {};
}

void BlobSaver::run_writer() {
  std::unique_lock lock(queue_mutex_);
  while (true) {
    queue_changed_.wait(lock, [&] { return !waiting_.empty() || closing_; });
    if (waiting_.empty()) break;
    // It waits until it is written: two packs are in memory, the other one is filled meanwhile.
    if (!failure_) {
      FilledPack pack = std::move(waiting_.front());
      lock.unlock();
      auto written = write_pack(std::move(pack));
      lock.lock();
      if (!written && !failure_) failure_ = std::move(written.error());
    }
    waiting_.pop_front();
    queue_changed_.notify_all();
  }
  writer_done_ = true;
  queue_changed_.notify_all();
}

Outcome<void> BlobSaver::write_pack(FilledPack filled) {
  if (filled.file) return write_giant(std::move(filled));
  const auto kind = static_cast<std::size_t>(filled.entries.front().type);
  FinishedPack pack = finish_pack(std::move(filled), cipher_);
  const FileName name{.kind = FileKind::Pack, .id = pack.index.id};
  auto file = repository_.store().stage(name, pack.bytes);
  if (!file) return Unexpected(std::move(file.error()));
  {
    const std::lock_guard lock(builders_mutex_);
    // A giant's room is not kept.
    if (pack.bytes.capacity() <= 2 * room_bytes(BlobType::Data))
      rooms_[kind] = std::move(pack.bytes);
  }
  return hand_over(std::move(pack.index), std::move(*file));
}

Outcome<void> BlobSaver::write_giant(FilledPack filled) {
  auto pack = finish_file(filled, cipher_);
  if (!pack) return Unexpected(std::move(pack.error()));
  const FileName name{.kind = FileKind::Pack, .id = pack->id};
  auto written = repository_.store().write_long(name, filled.file->pieces());
  return written ? hand_over(std::move(*pack), nullptr) : written;
}

Outcome<void> BlobSaver::hand_over(IndexedPack pack, std::unique_ptr<StagedFile> file) {
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait(lock, [&] { return staged_.size() < kStagedPacksMax || failure_; });
  if (failure_) return {};  // It is known already.
  staged_.push_back({.index = std::move(pack), .file = std::move(file)});
  queue_changed_.notify_all();
  return {};
}

void BlobSaver::run_finisher() {
  std::unique_lock lock(queue_mutex_);
  while (true) {
    queue_changed_.wait(lock, [&] { return !staged_.empty() || writer_done_; });
    if (staged_.empty()) return;
    if (failure_) {
      staged_.clear();
      continue;
    }
    // It counts until it is done: what a crash takes stays bounded.
    const StagedPack& pack = staged_.front();
    lock.unlock();
    auto finished = finish_pack_file(pack.index, pack.file.get());
    lock.lock();
    staged_.pop_front();
    if (!finished && !failure_) failure_ = std::move(finished.error());
    queue_changed_.notify_all();
  }
}

Outcome<void> BlobSaver::finish_pack_file(const IndexedPack& pack, StagedFile* file) {
  if (file != nullptr) {
    if (auto finished = file->finish(); !finished) return finished;
  }
  const auto now = std::chrono::steady_clock::now();
  if (index_text_.blobs() == 0) index_begun_ = now;
  index_text_.add(pack);
  growth_.add(pack);
  const bool due = index_text_.blobs() >= kIndexBlobsMax || now - index_begun_ >= kIndexAgeMax;
  return due ? write_index() : Outcome<void>();
}

Outcome<void> BlobSaver::write_index() {
  if (index_text_.blobs() == 0) return {};
  auto saved = repository_.save(FileKind::Index, index_text_.finish());
  if (!saved) return Unexpected(std::move(saved.error()));
  growth_.add_file(*saved);
  return {};
}

Outcome<void> BlobSaver::finish() {
  for (const BlobType type : {BlobType::Data, BlobType::Tree}) {
    if (builders_[static_cast<std::size_t>(type)].empty()) continue;
    if (auto queued = enqueue(builders_[static_cast<std::size_t>(type)].release()); !queued)
      return queued;
  }
  close();
  if (failure_) return Unexpected(*failure_);
  return write_index();
}

SavedBytes BlobSaver::saved() const {
  const std::lock_guard lock(builders_mutex_);
  return saved_;
}

}  // namespace recover::backup
