#include "backup/repo/blob_saver.h"

#include <cstring>
#include <utility>

namespace recover::backup {

BlobSaver::BlobSaver(const Repository& repository, const BlobIndex& index, std::size_t pack_bytes)
    : repository_(repository),
      index_(index),
      pack_bytes_(pack_bytes),
      writer_([this] { run_writer(); }) {}

BlobSaver::~BlobSaver() {
  {
    const std::lock_guard lock(queue_mutex_);
    closing_ = true;
  }
  queue_changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

bool BlobSaver::claim(const BlobKey& key) {
  if (index_.contains(key)) return true;
  ShortKey brief{};
  std::memcpy(brief.data(), key.id.bytes.data(), sizeof brief);
  brief[1] = (brief[1] & ~std::uint64_t{1}) | (key.type == BlobType::Tree ? 1U : 0U);
  Shard& shard = shards_[key.id.bytes.back() % kShards];
  const std::lock_guard lock(shard.mutex);
  return !shard.claimed.insert(brief).second;
}

Outcome<void> BlobSaver::store(BlobCodec& codec, BlobType type, const Digest& id, View plain) {
  thread_local Bytes scratch;
  scratch.clear();
  const auto entry = codec.seal(type, id, plain, scratch);
  if (!entry) return Unexpected(entry.error());
  std::optional<FinishedPack> full;
  {
    const std::lock_guard lock(builders_mutex_);
    PackBuilder& builder = builders_[static_cast<std::size_t>(type)];
    builder.take(*entry, scratch);
    ++(type == BlobType::Data ? saved_.data_blobs : saved_.tree_blobs);
    saved_.plain_bytes += plain.size();
    saved_.stored_bytes += scratch.size();
    if (builder.is_full(pack_bytes_)) full = builder.finish(codec.cipher());
  }
  return full ? enqueue(std::move(*full)) : Outcome<void>();
}

Outcome<void> BlobSaver::enqueue(FinishedPack pack) {
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
    if (waiting_.empty()) return;
    const FinishedPack pack = std::move(waiting_.front());
    waiting_.pop_front();
    queue_changed_.notify_all();
    if (failure_) continue;
    lock.unlock();
    auto written = write_pack(pack);
    lock.lock();
    if (!written) failure_ = std::move(written.error());
    queue_changed_.notify_all();
  }
}

Outcome<void> BlobSaver::write_pack(const FinishedPack& pack) {
  const FileName name{.kind = FileKind::Pack, .id = pack.index.id};
  if (auto written = repository_.store().write(name, pack.bytes); !written) return written;
  index_text_.add(pack.index);
  return index_text_.blobs() < kIndexBlobsMax ? Outcome<void>() : write_index();
}

Outcome<void> BlobSaver::write_index() {
  if (index_text_.blobs() == 0) return {};
  auto saved = repository_.save(FileKind::Index, index_text_.finish());
  if (!saved) return Unexpected(std::move(saved.error()));
  return {};
}

Outcome<void> BlobSaver::finish(Cipher& cipher) {
  for (PackBuilder& builder : builders_) {
    if (builder.empty()) continue;
    if (auto queued = enqueue(builder.finish(cipher)); !queued) return queued;
  }
  {
    const std::lock_guard lock(queue_mutex_);
    closing_ = true;
  }
  queue_changed_.notify_all();
  writer_.join();
  if (failure_) return Unexpected(*failure_);
  return write_index();
}

SavedBytes BlobSaver::saved() const {
  const std::lock_guard lock(builders_mutex_);
  return saved_;
}

}  // namespace recover::backup
