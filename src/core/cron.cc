#include "core/cron.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <span>
#include <utility>
#include <vector>

namespace recover::core {
namespace {

constexpr std::int64_t kDay = 86'400;
constexpr std::int64_t kHour = 3'600;
constexpr std::int64_t kMinute = 60;
// February 29th on a weekday comes again after 40 years at most (2072 to 2112).
constexpr std::int64_t kDaysMax = 366 * 41;
// Clocks go back by no more than this anywhere.
constexpr std::int64_t kRepeatMax = 3 * kHour;

constexpr std::array<std::string_view, 12> kMonths = {"jan", "feb", "mar", "apr", "may", "jun",
                                                      "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdays = {"sun", "mon", "tue", "wed",
                                                       "thu", "fri", "sat"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kShort = {{
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
    {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
}};

std::int64_t floor_div(std::int64_t value, std::int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> parts;
  for (std::size_t at = text.find_first_not_of(separators); at != std::string_view::npos;) {
    const std::size_t end = std::min(text.find_first_of(separators, at), text.size());
    parts.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(separators, end);
  }
  return parts;
}

// The moment in (before, after] at which the offset became that of `after`. REQUIRES: they differ.
std::int64_t transition(std::int64_t before, std::int64_t after, const ZoneOffset& zone) {
  const std::int64_t old = zone(before);
  while (after - before > 1) {
    const std::int64_t middle = before + (after - before) / 2;
    (zone(middle) == old ? before : after) = middle;
  }
  return after;
}

}  // namespace

// What one field may hold.
struct Cron::Field {
  std::string_view name;
  int min = 0;
  int max = 0;
  std::span<const std::string_view> names = {};
  int names_from = 0;

  std::optional<int> number(std::string_view text) const {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if (names[i] == text) return names_from + static_cast<int>(i);
    }
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty()) return {};
    return value >= min && value <= max ? std::optional(value) : std::nullopt;
  }

  // "*", "7", "1-5", "*/10", "10-50/20".
  template <class Set>
  bool read_part(std::string_view part, Set& set) const {
    const std::size_t slash = part.find('/');
    const std::string_view range = part.substr(0, slash);
    int step = 1;
    if (slash != std::string_view::npos) {
      const std::string_view text = part.substr(slash + 1);
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), step);
      if (error != std::errc() || end != text.data() + text.size() || step < 1) return false;
    }
    const std::size_t dash = range.find('-');
    std::optional<int> first = min;
    std::optional<int> last = max;
    if (range != "*") {
      first = number(range.substr(0, dash));
      last = dash != std::string_view::npos    ? number(range.substr(dash + 1))
             : slash != std::string_view::npos ? std::optional(max)
                                               : first;
    }
    if (!first || !last || *first > *last) return false;
    for (int value = *first; value <= *last; value += step) {
      set.set(static_cast<std::size_t>(value));
      if (step > max) break;
    }
    return true;
  }

  template <class Set>
  Result<void, std::string> read(std::string_view text, Set& set) const {
    const auto parts = split(text, ",");
    const bool well = !parts.empty() && text.front() != ',' && text.back() != ',' &&
                      text.find(",,") == std::string_view::npos &&
                      std::ranges::all_of(parts, [&](auto part) { return read_part(part, set); });
    if (well) return {};
    return Unexpected("the " + std::string(name) + " `" + std::string(text) + "` must be `*`, or " +
                      std::to_string(min) + " to " + std::to_string(max) +
                      " as in `5`, `1,3`, `1-5` or `*/2`");
  }
};

Result<Cron, std::string> Cron::parse(std::string_view text) {
  Cron cron;
  const std::string lowered = lower(text);
  std::string_view fields = lowered;
  if (lowered.starts_with('@')) {
    const auto known =
        std::ranges::find(kShort, lowered, [](const auto& one) { return one.first; });
    if (known == kShort.end()) {
      return Unexpected("`" + std::string(text) +
                        "` is none of `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`");
    }
    fields = known->second;
  }
  auto read = cron.read_fields(fields);
  if (!read) return Unexpected(std::move(read).error());
  cron.text_ = std::string(text);
  // Any year's days are looked at: one that is never due is found out at once.
  if (!cron.first_local(0)) return Unexpected("`" + cron.text_ + "` is never due");
  return cron;
}

Result<void, std::string> Cron::read_fields(std::string_view text) {
  auto words = split(text, " \t");
  if (words.size() == 5) words.insert(words.begin(), "0");
  if (words.size() != 6) {
    return Unexpected(std::string(
        "a schedule has five fields (minute, hour, day, month, weekday) or six, with the second "
        "first"));
  }
  std::bitset<8> weekdays;
  const Result<void, std::string> results[] = {
      Field{.name = "second", .min = 0, .max = 59}.read(words[0], seconds_),
      Field{.name = "minute", .min = 0, .max = 59}.read(words[1], minutes_),
      Field{.name = "hour", .min = 0, .max = 23}.read(words[2], hours_),
      Field{.name = "day", .min = 1, .max = 31}.read(words[3], days_),
      Field{.name = "month", .min = 1, .max = 12, .names = kMonths, .names_from = 1}.read(words[4],
                                                                                          months_),
      Field{.name = "weekday", .min = 0, .max = 7, .names = kWeekdays, .names_from = 0}.read(
          words[5], weekdays)};
  for (const auto& result : results) {
    if (!result) return Unexpected(result.error());
  }
  if (weekdays[7]) weekdays.set(0);  // Sunday both.
  weekdays_ = weekdays;
  any_day_ = words[3].starts_with('*');
  any_weekday_ = words[5].starts_with('*');
  every_hour_ = words[2].starts_with('*');
  return {};
}

// Days since 1970 of local time.
bool Cron::is_day(std::int64_t day) const {
  using std::chrono::days;
  const std::chrono::sys_days date{days{day}};
  const std::chrono::year_month_day civil(date);
  if (!months_[static_cast<unsigned>(civil.month())]) return false;
  const bool of_month = days_[static_cast<unsigned>(civil.day())];
  const bool of_week = weekdays_[std::chrono::weekday(date).c_encoding()];
  return any_day_ || any_weekday_ ? of_month && of_week : of_month || of_week;
}

std::optional<std::int64_t> Cron::first_local(std::int64_t local) const {
  const std::int64_t first = floor_div(local, kDay);
  for (std::int64_t day = first; day < first + kDaysMax; ++day) {
    if (!is_day(day)) continue;
    const std::int64_t from = day == first ? local - day * kDay : 0;
    for (std::int64_t hour = from / kHour; hour < 24; ++hour) {
      if (!hours_[static_cast<std::size_t>(hour)]) continue;
      const std::int64_t in_hour = std::max<std::int64_t>(0, from - hour * kHour);
      for (std::int64_t minute = in_hour / kMinute; minute < 60; ++minute) {
        if (!minutes_[static_cast<std::size_t>(minute)]) continue;
        std::int64_t second = std::max<std::int64_t>(0, in_hour - minute * kMinute);
        while (second < kMinute && !seconds_[static_cast<std::size_t>(second)]) ++second;
        if (second < kMinute) return day * kDay + hour * kHour + minute * kMinute + second;
      }
    }
  }
  return std::nullopt;
}

std::int64_t Cron::next(std::int64_t after, const ZoneOffset& zone) const {
  std::int64_t at = after + 1;
  // In an hour that comes a second time: what it holds was due the first time.
  const std::int64_t earlier = at - kRepeatMax;
  if (!every_hour_ && zone(earlier) > zone(at)) {
    const std::int64_t back = transition(earlier, at, zone);
    at = std::max(at, back + zone(earlier) - zone(at));
  }
  constexpr int kTransitionsMax = 1'000;
  for (int i = 0; i < kTransitionsMax; ++i) {
    const std::int64_t offset = zone(at);
    const std::int64_t local = first_local(at + offset).value_or(at + offset);
    // Years away at most: offsets are compared a month at a time so that none hides another.
    const std::int64_t due = local - offset;
    std::int64_t until = std::min(due, at + 30 * kDay);
    if (zone(until) == offset) {
      if (until == due) return due;
      at = until;
      continue;
    }
    const std::int64_t jump = transition(at, until, zone);
    const std::int64_t gained = zone(jump) - offset;
    if (due < jump) return due;
    if (!every_hour_ && gained > 0 && due < jump + gained) return jump;
    at = gained < 0 && !every_hour_ ? jump - gained : jump;
  }
  return at;
}

Duration jitter_of(std::string_view name, std::int64_t due, Duration jitter) {
  if (jitter <= Duration::zero()) return Duration::zero();
  std::uint64_t hash = 14'695'981'039'346'656'037ULL;  // FNV-1a, then mixed once more.
  const auto add = [&hash](unsigned char byte) { hash = (hash ^ byte) * 1'099'511'628'211ULL; };
  for (const char c : name) add(static_cast<unsigned char>(c));
  for (unsigned i = 0; i < 64; i += 8) {
    add(static_cast<unsigned char>(static_cast<std::uint64_t>(due) >> i));
  }
  hash ^= hash >> 32U;
  hash *= 0x9E3779B97F4A7C15ULL;
  hash ^= hash >> 29U;
  return Duration{static_cast<Duration::rep>(hash % static_cast<std::uint64_t>(jitter.count()))};
}

}  // namespace recover::core
