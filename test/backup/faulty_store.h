// A store around another that fails at the call one chooses: before the work, after it (the answer
// is lost), or from then on for ever.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "backup/store/store.h"

namespace recover::test {

enum class Fault {
  Fails,       // Nothing is done; an I/O error.
  DiskFull,    // The same for writes: Full.
  AnswerLost,  // It is done, and nobody hears of it: Unreachable.
  CutShort,    // Reads get less than they asked for; others fail.
  Gone,        // This call and all that follow: Unreachable.
};

class FaultyStore final : public backup::Store {
 public:
  // Owns nothing. Calls are counted from 1; 0: no fault.
  FaultyStore(backup::Store& inner, Fault fault, std::uint64_t at)
      : inner_(inner), fault_(fault), at_(at) {}

  std::uint64_t calls() const { return calls_; }
  bool has_struck() const { return struck_; }

  std::string location() const override { return inner_.location(); }
  backup::Outcome<void> prepare() override {
    return strike([&] { return inner_.prepare(); });
  }
  backup::Outcome<backup::Bytes> read(const backup::FileName& name) override {
    return strike([&] { return inner_.read(name); });
  }
  backup::Outcome<backup::Bytes> read_part(const backup::FileName& name, std::uint64_t offset,
                                           std::uint64_t length) override {
    return strike([&] { return inner_.read_part(name, offset, length); });
  }
  backup::Outcome<std::uint64_t> size(const backup::FileName& name) override {
    return strike([&] { return inner_.size(name); });
  }
  backup::Outcome<void> write(const backup::FileName& name, backup::View bytes) override {
    return strike([&] { return inner_.write(name, bytes); });
  }
  backup::Outcome<void> remove(const backup::FileName& name) override {
    return strike([&] { return inner_.remove(name); });
  }
  backup::Outcome<void> sweep() override {
    return strike([&] { return inner_.sweep(); });
  }
  backup::Outcome<std::vector<backup::StoredFile>> list(backup::FileKind kind) override {
    return strike([&] { return inner_.list(kind); });
  }

 private:
  template <class Call>
  auto strike(Call&& call) -> decltype(call()) {
    using backup::FailureKind;
    const std::uint64_t number = ++calls_;
    const bool now = number == at_ || (fault_ == Fault::Gone && at_ > 0 && number > at_);
    if (!now) return call();
    struck_ = true;
    switch (fault_) {
      case Fault::Fails: return backup::fail(FailureKind::Io, "a fault");
      case Fault::DiskFull: return backup::fail(FailureKind::Full, "a full disk");
      case Fault::Gone: return backup::fail(FailureKind::Unreachable, "a lost connection");
      case Fault::AnswerLost: {
        (void)call();
        return backup::fail(FailureKind::Unreachable, "a lost answer");
      }
      case Fault::CutShort: {
        auto result = call();
        using Result = decltype(result);
        if constexpr (std::is_same_v<Result, backup::Outcome<backup::Bytes>>) {
          if (result && !result->empty()) {
            result->resize(result->size() / 2);
            return result;
          }
        }
        return backup::fail(FailureKind::Damaged, "cut short");
      }
    }
    return call();
  }

  backup::Store& inner_;
  Fault fault_;
  std::uint64_t at_;
  std::atomic<std::uint64_t> calls_{0};
  std::atomic<bool> struck_{false};
};

}  // namespace recover::test
