// The reading half of go_text.h's times.
#include <charconv>
#include <chrono>

#include "backup/format/go_text.h"

namespace recover::backup {
namespace {

// Takes what it recognises from the front of a text; `ok` stays false once something was missing.
struct Scanner {
  std::string_view rest;
  bool ok = true;

  int digits(std::size_t count) {
    int value = 0;
    if (rest.size() < count) return fail();
    const char* const end = rest.data() + count;
    if (rest.front() == '-' || std::from_chars(rest.data(), end, value).ptr != end) return fail();
    rest.remove_prefix(count);
    return value;
  }
  bool take(char wanted) {
    if (rest.empty() || rest.front() != wanted) return false;
    rest.remove_prefix(1);
    return true;
  }
  void need(char wanted) { ok = take(wanted) && ok; }
  int fail() {
    ok = false;
    return 0;
  }
};

std::uint32_t fraction(Scanner& in) {
  if (!in.take('.')) return 0;
  std::uint32_t value = 0;
  std::uint32_t unit = 100'000'000;
  std::size_t count = 0;
  for (; count < in.rest.size() && in.rest[count] >= '0' && in.rest[count] <= '9'; ++count) {
    value += unit * static_cast<std::uint32_t>(in.rest[count] - '0');
    unit /= 10;
  }
  if (count == 0) in.fail();
  in.rest.remove_prefix(count);
  return value;
}

// Seconds east of Greenwich.
int offset(Scanner& in) {
  if (in.take('Z')) return 0;
  const bool west = in.take('-');
  if (!west) in.need('+');
  const int hours = in.digits(2);
  in.need(':');
  const int minutes = in.digits(2);
  if (hours > 23 || minutes > 59) in.fail();
  return (west ? -60 : 60) * (60 * hours + minutes);
}

}  // namespace

std::optional<Timestamp> parse_time(std::string_view text) {
  Scanner in{.rest = text};
  const int year = in.digits(4);
  in.need('-');
  const int month = in.digits(2);
  in.need('-');
  const int day = in.digits(2);
  in.need('T');
  const int hour = in.digits(2);
  in.need(':');
  const int minute = in.digits(2);
  in.need(':');
  const int second = in.digits(2);
  const std::uint32_t nanoseconds = fraction(in);
  const int east = offset(in);
  const std::chrono::year_month_day date{std::chrono::year(year),
                                         std::chrono::month(static_cast<unsigned>(month)),
                                         std::chrono::day(static_cast<unsigned>(day))};
  if (!in.ok || !in.rest.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return Timestamp{.seconds = days * 86400 + hour * 3600 + minute * 60 + second - east,
                   .nanoseconds = nanoseconds};
}

}  // namespace recover::backup
