// A store from which nothing is taken: for repositories that shall outlive a break-in on the
// machine that writes them. Locks alone are removed.
//
// It keeps our own program from removing; who holds the credentials can still do so with another.
// A store that must hold against that refuses on its own side: docs/backup.md says how.
#pragma once

#include <memory>

#include "backup/store/store.h"

namespace recover::backup {

class AppendOnlyStore final : public Store {
 public:
  explicit AppendOnlyStore(std::unique_ptr<Store> inner) : inner_(std::move(inner)) {}

  std::string location() const override { return inner_->location(); }
  Outcome<void> prepare() override { return inner_->prepare(); }
  Outcome<Bytes> read(const FileName& name) override { return inner_->read(name); }
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override {
    return inner_->read_part(name, offset, length);
  }
  bool read_in_place(const FileName& name, std::uint64_t offset,
                     std::span<std::uint8_t> room) override {
    return inner_->read_in_place(name, offset, room);
  }
  Outcome<std::uint64_t> size(const FileName& name) override { return inner_->size(name); }
  Outcome<void> write(const FileName& name, View bytes) override {
    return inner_->write(name, bytes);
  }
  Outcome<std::unique_ptr<StagedFile>> stage(const FileName& name, View bytes) override {
    return inner_->stage(name, bytes);
  }
  Outcome<void> write_long(const FileName& name, const Pieces& bytes) override {
    return inner_->write_long(name, bytes);
  }
  // NotPermitted, but for locks.
  Outcome<void> remove(const FileName& name) override {
    if (name.kind == FileKind::Lock) return inner_->remove(name);
    return fail(FailureKind::NotPermitted, "removing " + to_string(name) + " from " +
                                               inner_->location() + ": it is append-only");
  }
  // Leaves what it is: whoever sweeps removes.
  Outcome<void> sweep() override { return {}; }
  bool shows_at_once() const override { return inner_->shows_at_once(); }
  Outcome<std::vector<StoredFile>> list(FileKind kind) override { return inner_->list(kind); }

 private:
  std::unique_ptr<Store> inner_;
};

}  // namespace recover::backup
