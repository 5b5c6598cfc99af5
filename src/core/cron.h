// When a schedule's next run is due: cron's five fields, with seconds before them if wanted.
//
// Pure: the wall clock's seconds go in and come out, and the machine's zone is a function. Refuses
// expressions that can never be due. Invariant: next() is always later than what it was given.
#pragma once

#include <bitset>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::core {

// Seconds to add to UTC for the local time at that moment (seconds since 1970, UTC).
using ZoneOffset = std::function<std::int64_t(std::int64_t utc)>;

// "15 30 2 * * mon-fri", "30 2 * * *", "*/10 * * * * *", "@daily". As in cron, when both the day of
// the month and the weekday are restricted, either is enough.
class Cron {
 public:
  // Error: what is wrong with the expression.
  static Result<Cron, std::string> parse(std::string_view text);

  // The first moment after `after`, both in seconds since 1970. Where clocks jump forward, a time
  // of the day that does not exist is due at the jump; where they go back, a time of the day that
  // comes twice is due the first time only. An expression with every hour (`*`) goes on through
  // both as if nothing happened.
  std::int64_t next(std::int64_t after, const ZoneOffset& zone) const;

  const std::string& text() const noexcept { return text_; }
  friend bool operator==(const Cron& a, const Cron& b) { return a.text_ == b.text_; }

 private:
  struct Field;
  Result<void, std::string> read_fields(std::string_view text);
  bool is_day(std::int64_t day) const;
  // The first local time not before `local`; none within kYearsMax.
  std::optional<std::int64_t> first_local(std::int64_t local) const;

  std::string text_;
  std::bitset<60> seconds_;
  std::bitset<60> minutes_;
  std::bitset<24> hours_;
  std::bitset<32> days_;     // 1 to 31.
  std::bitset<13> months_;   // 1 to 12.
  std::bitset<8> weekdays_;  // 0 to 6, Sunday first.
  bool any_day_ = true;      // Neither `*` nor a restriction of the other kind.
  bool any_weekday_ = true;
  bool every_hour_ = true;
};

// Evenly spread over [0, jitter), the same for the same name and run.
Duration jitter_of(std::string_view name, std::int64_t due, Duration jitter);

}  // namespace recover::core
