// The journal and what can be read back from it.
#include <type_traits>
#include <utility>

#include "runtime/fields.h"
#include "sim/invariant.h"
#include "sim/scenario.h"

namespace recover::sim {
namespace {

// Shows every text of an entry to `Visit`.
template <class Visit>
class Texts {
 public:
  explicit Texts(Visit visit) : visit_(std::move(visit)) {}
  // As runtime::fields() calls it.
  template <class T>
  void operator()(std::string_view /*name*/, T& value) {
    if constexpr (std::is_same_v<T, std::string>) visit_(std::string_view(value));
  }
  void entry(const Seen& seen) {
    visit_(seen.body);
    if (seen.command != nullptr) visit_(std::string_view(seen.command->text));
    if (seen.event != nullptr) {
      // One description of the fields serves both directions; nothing is changed here.
      auto& event =
          const_cast<core::Event&>(*seen.event);  // NOLINT(cppcoreguidelines-pro-type-const-cast)
      std::visit([this](auto& each) { runtime::fields(*this, each); }, event);
    }
    if (seen.notice == nullptr) return;
    visit_(std::string_view(seen.notice->type));
    visit_(std::string_view(seen.notice->actor));
    visit_(std::string_view(seen.notice->message));
    for (const core::Reason& reason : seen.notice->reasons) visit_(std::string_view(reason.detail));
  }

 private:
  Visit visit_;
};

bool has_canary(std::string_view text) {
  return text.size() >= kCanary.size() && text.find(kCanary) != std::string_view::npos;
}

class ReplayIsLive final : public Invariant {  // I20; I21 for the prefixes at which we crash.
 public:
  ReplayIsLive() : Invariant("I20", 0) {}
  void on_restart(std::uint64_t live_hash, std::uint64_t replayed_hash) override {
    if (live_hash != replayed_hash) fail("the state read back is not the state that was");
  }
};

class NoGaps final : public Invariant {  // I22, without the hash chain: the journal's own tests.
 public:
  NoGaps() : Invariant("I22", kEverything) {}
  void on_journal_lost() override { lost_ = true; }
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    if (seen.sequence == 0) return;
    if (std::exchange(lost_, false) && seen.sequence <= last_) last_ = seen.sequence - 1;
    if (seen.sequence != last_ + 1) fail("entry " + std::to_string(last_ + 1) + " is missing");
    if (seen.at < at_) fail("time goes backwards at entry " + std::to_string(seen.sequence));
    last_ = seen.sequence;
    at_ = seen.at;
  }

 private:
  std::uint64_t last_ = 0;
  bool lost_ = false;
  Instant at_ = Instant::min();
};

class TimersKeepTime final : public Invariant {  // I26
 public:
  TimersKeepTime() : Invariant("I26", bit(Watchable::Event) | bit(Watchable::Timer)) {}
  void on_timer_armed(Instant at) override { armed_ = at; }
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    if (seen.type != "timer_fired") return;
    if (seen.at < armed_) fail("a timer fires early, or though none is armed");
  }

 private:
  Instant armed_ = kNever;
};

class EverythingIsBounded final : public Invariant {  // I32
 public:
  explicit EverythingIsBounded(const core::Policy& policy)
      : Invariant("I32", kEverything), services_(policy.services.size()) {}
  void on_entry(const Seen& seen, const Books& before) override {
    // Supervision, last-good, a step, operators' checkpoints and a call for people at a time.
    constexpr std::size_t kPerService = 12;
    if (before.commands.size() > kPerService * services_) fail("too many commands in flight");
    if (before.open_incidents() > services_) fail("more incidents than services are open");
    // A deadline that is due and never met would wake us, and fill the journal, without end.
    constexpr std::uint32_t kTimersASecondMax = 30;
    if (seen.type == "timer_fired") {
      if (seen.at >= second_ + core::seconds{1}) {
        second_ = seen.at;
        timers_ = 0;
      }
      if (++timers_ > kTimersASecondMax) fail("timers fire again and again");
    }
    constexpr std::size_t kBodyMax = 1U << 16U;
    std::size_t size = 0;
    Texts([&size](std::string_view text) { size += text.size(); }).entry(seen);
    if (seen.kind != ports::EntryKind::Snapshot && size > kBodyMax) fail("an entry without bound");
  }

 private:
  std::size_t services_;
  Instant second_;
  std::uint32_t timers_ = 0;
};

class NoSecrets final : public Invariant {  // I34
 public:
  NoSecrets() : Invariant("I34", kEverything | bit(Watchable::Performed)) {}
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    bool told = false;
    Texts([&told](std::string_view text) { told = told || has_canary(text); }).entry(seen);
    if (told) fail("a secret in " + std::string(seen.type));
  }
  void on_command(const core::Command& command, const Books& /*books*/) override {
    if (has_canary(command.text)) fail("a secret in what a command is handed");
  }
};

class PeopleAreNamed final : public Invariant {  // I35
 public:
  PeopleAreNamed() : Invariant("I35", bit(Watchable::Event) | bit(Watchable::Notice)) {}
  void on_entry(const Seen& seen, const Books& /*before*/) override {
    bool named = true;
    if (seen.event != nullptr) {
      std::visit(
          [&named](const auto& each) {
            if constexpr (requires { each.actor; }) named = !each.actor.empty();
          },
          *seen.event);
    }
    if (seen.type.starts_with("operator:")) named = !seen.notice->actor.empty();
    if (!named) fail(std::string(seen.type) + " names nobody");
  }
};

}  // namespace

void add_journal_invariants(Invariants& all, const core::Policy& policy) {
  all.push_back(std::make_unique<ReplayIsLive>());
  all.push_back(std::make_unique<NoGaps>());
  all.push_back(std::make_unique<TimersKeepTime>());
  all.push_back(std::make_unique<EverythingIsBounded>(policy));
  all.push_back(std::make_unique<NoSecrets>());
  all.push_back(std::make_unique<PeopleAreNamed>());
}

}  // namespace recover::sim
