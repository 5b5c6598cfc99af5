#include "backup/retain/retention.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <map>
#include <tuple>
#include <utility>

#include "backup/restore/in_place.h"

namespace recover::backup {
namespace {

using FoundSnapshot = Repository::FoundSnapshot;

std::chrono::sys_days day_of(const Timestamp& time) {
  return std::chrono::floor<std::chrono::days>(
      std::chrono::sys_seconds(std::chrono::seconds(time.seconds)));
}

// Numbers that are the same exactly for times of one period.
std::int64_t hour(const Timestamp& time) {
  return time.seconds / 3600;
}
std::int64_t day(const Timestamp& time) {
  return day_of(time).time_since_epoch().count();
}
// Weeks begin on Monday; 1970-01-01 was a Thursday.
std::int64_t week(const Timestamp& time) {
  return (day(time) + 3) / 7;
}
std::int64_t month(const Timestamp& time) {
  const std::chrono::year_month_day date(day_of(time));
  return static_cast<int>(date.year()) * 12LL + static_cast<unsigned>(date.month());
}
std::int64_t year(const Timestamp& time) {
  return static_cast<int>(std::chrono::year_month_day(day_of(time)).year());
}

struct Rule {
  std::string_view name;
  unsigned left;
  std::int64_t (*period)(const Timestamp&);
  std::optional<std::int64_t> seen = std::nullopt;

  // Newest first: the first of a period is its newest.
  bool keeps(const Timestamp& time) {
    if (left == 0) return false;
    if (period != nullptr) {
      const std::int64_t now = period(time);
      if (seen == now) return false;
      seen = now;
    }
    --left;
    return true;
  }
};

bool has_any(const std::vector<std::string>& tags, const std::vector<std::string>& wanted) {
  return std::any_of(tags.begin(), tags.end(), [&](const std::string& tag) {
    return std::find(wanted.begin(), wanted.end(), tag) != wanted.end();
  });
}

// What kind of snapshots it is judged among; empty: those made as planned.
std::string kind_of(const FoundSnapshot& one) {
  for (const char* const kind : {kBeforeRestoreTag, kContinuousTag}) {
    if (has_any(one.snapshot.tags, {kind})) return kind;
  }
  return {};
}

bool is_forged(const FoundSnapshot& one, const Retention& retention) {
  if (!one.written) return false;
  const std::int64_t ahead = one.snapshot.time.seconds - *one.written;
  return ahead > retention.ahead_max_seconds ||
         (retention.behind_max_seconds > 0 && -ahead > retention.behind_max_seconds);
}

// By which rules, of those that go by periods.
std::vector<std::string> kept_by(std::array<Rule, 6>& rules, const Timestamp& time) {
  std::vector<std::string> names;
  for (Rule& rule : rules) {
    if (rule.keeps(time)) names.emplace_back(rule.name);
  }
  return names;
}

void judge_group(std::vector<FoundSnapshot>& group, const Retention& retention,
                 std::vector<RetentionVerdict>& verdicts) {
  std::sort(group.begin(), group.end(), [](const FoundSnapshot& a, const FoundSnapshot& b) {
    return std::tie(b.snapshot.time, b.id) < std::tie(a.snapshot.time, a.id);
  });
  std::array<Rule, 6> rules = {{{"last", retention.last, nullptr},
                                {"hourly", retention.hourly, hour},
                                {"daily", retention.daily, day},
                                {"weekly", retention.weekly, week},
                                {"monthly", retention.monthly, month},
                                {"yearly", retention.yearly, year}}};
  std::optional<std::int64_t> newest;  // Of those that count.
  for (FoundSnapshot& one : group) {
    RetentionVerdict verdict{.snapshot = std::move(one), .kept_by = {}};
    const Snapshot& snapshot = verdict.snapshot.snapshot;
    if (is_forged(verdict.snapshot, retention)) {
      verdict.kept_by.emplace_back("its time is not the store's");
    } else if (snapshot.is_partial()) {
      if (!newest) verdict.kept_by.emplace_back("partial");
    } else {
      if (!newest) newest = snapshot.time.seconds;
      verdict.kept_by = kept_by(rules, snapshot.time);
      const std::int64_t age = *newest - snapshot.time.seconds;
      if (age < retention.within_seconds) verdict.kept_by.emplace_back("within");
    }
    if (has_any(snapshot.tags, retention.tags)) verdict.kept_by.emplace_back("tag");
    if (retention.is_empty()) verdict.kept_by.emplace_back("no rule");
    verdicts.push_back(std::move(verdict));
  }
}

}  // namespace

bool Retention::is_empty() const {
  return last + hourly + daily + weekly + monthly + yearly == 0 && within_seconds <= 0 &&
         tags.empty();
}

std::vector<RetentionVerdict> judge(std::vector<FoundSnapshot> snapshots,
                                    const Retention& retention) {
  using Key = std::tuple<std::string, std::vector<std::string>, std::string>;
  std::map<Key, std::vector<FoundSnapshot>> groups;
  for (FoundSnapshot& one : snapshots) {
    std::vector<std::string> paths = one.snapshot.paths;
    std::sort(paths.begin(), paths.end());
    groups[{one.snapshot.host, std::move(paths), kind_of(one)}].push_back(std::move(one));
  }
  std::vector<RetentionVerdict> verdicts;
  for (auto& [key, group] : groups) judge_group(group, retention, verdicts);
  return verdicts;
}

}  // namespace recover::backup
