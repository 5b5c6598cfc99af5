// A store that asks for a stop at the call one chooses: for work that is broken off in its middle,
// at the same place each time.
#pragma once

#include <atomic>
#include <stop_token>

#include "backup/store/store.h"

namespace recover::test {

class StoppingStore final : public backup::Store {
 public:
  enum class At { Write, ReadPart };
  // Owns nothing.
  StoppingStore(backup::Store& inner, At what, unsigned calls)
      : inner_(inner), what_(what), left_(calls) {}

  std::stop_token token() const { return source_.get_token(); }

  std::string location() const override { return inner_.location(); }
  backup::Outcome<void> prepare() override { return inner_.prepare(); }
  backup::Outcome<backup::Bytes> read(const backup::FileName& name) override {
    return inner_.read(name);
  }
  backup::Outcome<backup::Bytes> read_part(const backup::FileName& name, std::uint64_t offset,
                                           std::uint64_t length) override {
    count(At::ReadPart);
    return inner_.read_part(name, offset, length);
  }
  backup::Outcome<std::uint64_t> size(const backup::FileName& name) override {
    return inner_.size(name);
  }
  backup::Outcome<void> write(const backup::FileName& name, backup::View bytes) override {
    count(At::Write);
    return inner_.write(name, bytes);
  }
  backup::Outcome<void> remove(const backup::FileName& name) override {
    return inner_.remove(name);
  }
  backup::Outcome<void> sweep() override { return inner_.sweep(); }
  backup::Outcome<std::vector<backup::StoredFile>> list(backup::FileKind kind) override {
    return inner_.list(kind);
  }

 private:
  void count(At what) {
    if (what == what_ && left_.fetch_sub(1) == 1) source_.request_stop();
  }

  backup::Store& inner_;
  const At what_;
  std::atomic<unsigned> left_;
  std::stop_source source_;
};

}  // namespace recover::test
