#include "adapters/pattern/pattern_watch.h"

#include <re2/re2.h>
#include <re2/set.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/policy.h"

namespace recover::adapters::pattern {
namespace {

// For the automaton of all patterns together; built as far as texts need it, and thrown away and
// begun anew when it is full.
constexpr std::int64_t kMemoryMax = 8 << 20;

RE2::Options options() {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  return options;
}

}  // namespace

// The patterns of one policy.
class PatternWatch::Matcher {
 public:
  explicit Matcher(const core::Policy& policy) : set_(options(), RE2::UNANCHORED) {
    for (std::uint32_t index = 0; index < policy.patterns.size(); ++index) {
      const core::PatternPolicy& pattern = policy.patterns[index];
      // The configuration has compiled each by itself already.
      if (set_.Add(pattern.pattern, nullptr) < 0) continue;
      patterns_.push_back({core::PatternIndex{index}, std::min(pattern.cooldown, kPause),
                           std::make_unique<RE2>(pattern.pattern, options())});
    }
    usable_ = !patterns_.empty() && set_.Compile();
  }

  bool empty() const noexcept { return patterns_.empty(); }

  // Calls `found` for each pattern in the line that may be told again.
  template <class Found>
  void match(std::optional<core::ServiceIndex> service, std::string_view line, Instant now,
             const Found& found) {
    for (const int position : matches(line)) {
      const Pattern& pattern = patterns_.at(static_cast<std::size_t>(position));
      const auto [told, first] = told_.try_emplace(std::pair{position, service}, now);
      if (!first && now - told->second < pattern.pause) continue;
      told->second = now;
      found(pattern.index);
    }
  }

 private:
  struct Pattern {
    core::PatternIndex index;
    Duration pause;
    std::unique_ptr<RE2> alone;  // Where the set runs out of memory.
  };

  // Positions of patterns_.
  const std::vector<int>& matches(std::string_view line) {
    matches_.clear();
    RE2::Set::ErrorInfo error{};
    const re2::StringPiece text(line.data(), line.size());
    if (usable_ && set_.Match(text, &matches_, &error)) return matches_;
    if (usable_ && error.kind == RE2::Set::kNoError) return matches_;
    matches_.clear();
    for (std::size_t at = 0; at < patterns_.size(); ++at) {
      if (RE2::PartialMatch(text, *patterns_[at].alone)) matches_.push_back(static_cast<int>(at));
    }
    return matches_;
  }

  RE2::Set set_;
  bool usable_ = false;
  std::vector<Pattern> patterns_;
  std::vector<int> matches_;
  std::map<std::pair<int, std::optional<core::ServiceIndex>>, Instant> told_;
};

PatternWatch::PatternWatch(ports::Sink sink, std::function<Instant()> now)
    : sink_(std::move(sink)), now_(std::move(now)) {}

PatternWatch::~PatternWatch() = default;

void PatternWatch::watch(const core::Policy& policy) {
  matcher_ = std::make_unique<Matcher>(policy);
}

void PatternWatch::look(core::ServiceIndex /*service*/) {}

void PatternWatch::read(std::optional<core::ServiceIndex> service, std::string_view text) {
  if (!matcher_ || matcher_->empty()) return;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    read_line(service, text.substr(0, std::min(end, kLineMax)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void PatternWatch::read_line(std::optional<core::ServiceIndex> service, std::string_view line) {
  matcher_->match(service, line, now_(), [&](core::PatternIndex index) {
    sink_(core::PatternSeen{index, service, std::string(line)});
  });
}

}  // namespace recover::adapters::pattern
