// parse_retry_after() of classification.h: the two forms of the Retry-After header field.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <optional>
#include <string_view>

#include <recover/classification.h>

namespace recover {
namespace {

// Reads the fixed-width fields of a header from the left; the first mismatch makes it fail for
// good.
class FieldReader {
 public:
  explicit FieldReader(std::string_view text) noexcept : text_(text) {}

  void literal(std::string_view expected) noexcept {
    if (!text_.starts_with(expected)) ok_ = false;
    drop(expected.size());
  }

  unsigned digits(std::size_t count) noexcept {
    unsigned value = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const char c = i < text_.size() ? text_[i] : ' ';
      if (c < '0' || c > '9') ok_ = false;
      value = value * 10 + static_cast<unsigned>(c - '0');
    }
    drop(count);
    return value;
  }

  // The index of the three-letter name that comes next.
  template <std::size_t N>
  unsigned name(const std::array<std::string_view, N>& names) noexcept {
    const auto found = std::ranges::find(names, text_.substr(0, 3));
    if (found == names.end()) ok_ = false;
    drop(3);
    return static_cast<unsigned>(found - names.begin());
  }

  bool at_end() const noexcept { return ok_ && text_.empty(); }

 private:
  void drop(std::size_t count) noexcept { text_.remove_prefix(std::min(count, text_.size())); }

  std::string_view text_;
  bool ok_ = true;
};

constexpr std::array<std::string_view, 7> kDayNames = {"Mon", "Tue", "Wed", "Thu",
                                                       "Fri", "Sat", "Sun"};
constexpr std::array<std::string_view, 12> kMonthNames = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};

// "Sun, 06 Nov 1994 08:49:37 GMT". Second 60 is a leap second and counts as the next minute.
std::optional<std::chrono::sys_seconds> parse_imf_fixdate(std::string_view text) noexcept {
  FieldReader reader(text);
  reader.name(kDayNames);
  reader.literal(", ");
  const std::chrono::day day{reader.digits(2)};
  reader.literal(" ");
  const std::chrono::month month{reader.name(kMonthNames) + 1};
  reader.literal(" ");
  const std::chrono::year year{static_cast<int>(reader.digits(4))};
  reader.literal(" ");
  const unsigned hour = reader.digits(2);
  reader.literal(":");
  const unsigned minute = reader.digits(2);
  reader.literal(":");
  const unsigned second = reader.digits(2);
  reader.literal(" GMT");

  const std::chrono::year_month_day date = year / month / day;
  if (!reader.at_end() || !date.ok() || hour > 23 || minute > 59 || second > 60) {
    return std::nullopt;
  }
  return std::chrono::sys_seconds{std::chrono::sys_days{date}} + std::chrono::hours{hour} +
         std::chrono::minutes{minute} + std::chrono::seconds{second};
}

constexpr std::chrono::seconds kSecondsMax =
    std::chrono::floor<std::chrono::seconds>(Duration::max());

std::optional<Duration> parse_delay_seconds(std::string_view digits) noexcept {
  std::chrono::seconds seconds{0};
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    seconds = std::min(seconds * 10 + std::chrono::seconds{c - '0'}, kSecondsMax);
  }
  return seconds < kSecondsMax ? Duration{seconds} : Duration::max();
}

Duration until(std::chrono::sys_seconds date, std::chrono::system_clock::time_point now) noexcept {
  const auto whole = std::chrono::floor<std::chrono::seconds>(now);
  const std::chrono::seconds seconds = date - whole;
  if (seconds >= kSecondsMax) return Duration::max();
  return std::max(Duration::zero(), Duration{seconds} - Duration{now - whole});
}

std::string_view trim(std::string_view text) noexcept {
  constexpr std::string_view kBlanks = " \t";
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

std::optional<Duration> parse_retry_after(std::string_view header,
                                          std::chrono::system_clock::time_point now) noexcept {
  const std::string_view field = trim(header);
  if (field.empty()) return std::nullopt;
  if (field.front() >= '0' && field.front() <= '9') return parse_delay_seconds(field);
  const std::optional<std::chrono::sys_seconds> date = parse_imf_fixdate(field);
  if (!date) return std::nullopt;
  return until(*date, now);
}

}  // namespace recover
