// A store of which the locks that are there when it is made were written a while ago, or one that
// does not tell when anything was.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "backup/store/store.h"

namespace recover::test {

class AgedLocks final : public backup::Store {
 public:
  // Owns nothing. `seconds` none: it does not tell.
  AgedLocks(backup::Store& inner, std::optional<std::int64_t> seconds)
      : inner_(inner), seconds_(seconds) {
    const auto files = inner_.list(backup::FileKind::Lock);
    if (!files) return;
    for (const backup::StoredFile& file : *files) old_.insert(file.id);
  }

  std::string location() const override { return inner_.location(); }
  backup::Outcome<void> prepare() override { return inner_.prepare(); }
  backup::Outcome<backup::Bytes> read(const backup::FileName& name) override {
    return inner_.read(name);
  }
  backup::Outcome<backup::Bytes> read_part(const backup::FileName& name, std::uint64_t offset,
                                           std::uint64_t length) override {
    return inner_.read_part(name, offset, length);
  }
  backup::Outcome<std::uint64_t> size(const backup::FileName& name) override {
    return inner_.size(name);
  }
  backup::Outcome<void> write(const backup::FileName& name, backup::View bytes) override {
    return inner_.write(name, bytes);
  }
  backup::Outcome<void> remove(const backup::FileName& name) override {
    return inner_.remove(name);
  }
  backup::Outcome<void> sweep() override { return inner_.sweep(); }
  backup::Outcome<std::vector<backup::StoredFile>> list(backup::FileKind kind) override {
    auto files = inner_.list(kind);
    if (!files) return files;
    for (backup::StoredFile& file : *files) {
      if (!seconds_) {
        file.written.reset();
      } else if (file.written && old_.contains(file.id)) {
        *file.written -= *seconds_;
      }
    }
    return files;
  }

 private:
  backup::Store& inner_;
  const std::optional<std::int64_t> seconds_;
  std::set<backup::Digest> old_;
};

}  // namespace recover::test
