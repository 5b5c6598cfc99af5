#include "screen.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <string_view>
#include <utility>

#include "caption.h"
#include "line.h"
#include "text.h"

namespace flaky {

using recover::circuitbreaker::State;

namespace {

constexpr std::size_t kIndent = 2;
constexpr std::size_t kValues = 12;  // The column where values begin.
constexpr std::size_t kDetails = 29;
constexpr std::size_t kTitle = 20;
constexpr std::size_t kQuits = 69;

Style style_of(Weather weather) {
  switch (weather) {
    case Weather::Healthy: return Style::Green;
    case Weather::Slow: return Style::Yellow;
    case Weather::Failing: return Style::Red;
    case Weather::Refusing: return Style::Magenta;
    case Weather::Hanging: return Style::Blue;
    case Weather::Recovering: return Style::Cyan;
  }
  return Style::Plain;
}

Style style_of(State state) {
  if (state == State::Closed) return Style::Green;
  return state == State::HalfOpen ? Style::Yellow : Style::Red;
}

Style style_of(Source source) {
  switch (source) {
    case Source::Fresh: return Style::Green;
    case Source::Replica: return Style::Cyan;
    case Source::Cache: return Style::Yellow;
  }
  return Style::Plain;
}

Style style_of(Tone tone) {
  switch (tone) {
    case Tone::Neutral: return Style::Plain;
    case Tone::Good: return Style::Green;
    case Tone::Warning: return Style::Yellow;
    case Tone::Bad: return Style::Red;
  }
  return Style::Plain;
}

// By where most of the answers came from; one lost answer outweighs them all.
Style style_of(const Tally& answers) {
  if (answers.failed > 0) return Style::Red;
  if (answers.fresh >= std::max(answers.replica, answers.cache)) return style_of(Source::Fresh);
  return style_of(answers.replica >= answers.cache ? Source::Replica : Source::Cache);
}

std::string_view bar_of(Duration latency) {
  using namespace std::chrono_literals;
  constexpr std::array<std::string_view, 8> kBars = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  constexpr std::array<std::chrono::milliseconds, 7> kSteps = {5ms,   20ms,  40ms, 80ms,
                                                               150ms, 250ms, 400ms};
  const auto step = std::upper_bound(kSteps.begin(), kSteps.end(), latency);
  return kBars[static_cast<std::size_t>(step - kSteps.begin())];
}

std::string_view level_of(State state) {
  if (state == State::Closed) return "▁";
  return state == State::HalfOpen ? "▄" : "█";
}

Line labelled(const Canvas& canvas, std::string_view label) {
  Line line(canvas.width, canvas.colour);
  line.to(kIndent).put(label, Style::Dim).to(kValues);
  return line;
}

std::string title(const View& view, const Canvas& canvas) {
  Line line(canvas.width, canvas.colour);
  line.to(kIndent).put("flaky", Style::Bold);
  line.to(kValues).put(clock_time(view.elapsed)).to(kTitle);
  line.put("a user reads ", Style::Dim);
  line.put("\"" + view.tally.last.text + "\"", style_of(view.tally.last.source));
  line.to(kQuits).put("q quits", Style::Dim);
  return std::move(line).take();
}

std::string server_line(const View& view, const Canvas& canvas) {
  const Outlook& outlook = view.outlook;
  Line line = labelled(canvas, "server");
  line.put("● ", style_of(outlook.now)).put(name_of(outlook.now), style_of(outlook.now));
  line.to(kDetails).put(describe(outlook.now));
  if (outlook.changes_in) {
    line.put("; ", Style::Dim).put(name_of(outlook.next), style_of(outlook.next));
    line.put(" in " + seconds(*outlook.changes_in), Style::Dim);
  }
  return std::move(line).take();
}

std::string breaker_line(const View& view, const Canvas& canvas) {
  const State state = view.breaker.state;
  Line line = labelled(canvas, "breaker");
  line.put("● ", style_of(state)).put(to_string(state), style_of(state)).to(kDetails);
  if (state == State::Open) {
    line.put("probes in " + seconds(view.breaker.open_remaining.value_or(Duration::zero())));
  } else {
    line.put(state == State::HalfOpen ? "a few probes pass" : "every call passes");
  }
  line.put("; opened " + std::to_string(view.opened) + (view.opened == 1 ? " time" : " times"),
           Style::Dim);
  return std::move(line).take();
}

// What the numbers of the window mean, state by state.
std::string window_note(const View& view) {
  switch (view.breaker.state) {
    case State::Open: return "; that opened it";
    case State::HalfOpen:
      return "; " + std::to_string(view.breaker.counts_required) + " probes decide";
    case State::Closed:
    case State::Disabled:
    case State::MetricsOnly:
    case State::ForcedOpen: break;
  }
  return "; opens at " + std::to_string(std::lround(view.threshold_percent)) + " % of " +
         std::to_string(view.window_size);
}

std::string window_line(const View& view, const Canvas& canvas) {
  const recover::circuitbreaker::Counts& counts = view.breaker.counts;
  Line line = labelled(canvas, "window");
  for (std::uint64_t i = 0; i < counts.total; ++i) {
    line.put("■", i < counts.failed ? Style::Red : Style::Green);
  }
  const std::uint64_t size =
      view.breaker.state == State::Closed ? view.window_size : view.breaker.counts_required;
  for (std::uint64_t i = counts.total; i < size; ++i) line.put("□", Style::Dim);
  line.to(kDetails).put(std::to_string(counts.failed) + " of " + std::to_string(counts.total) +
                        " failed");
  line.put(window_note(view), Style::Dim);
  return std::move(line).take();
}

std::string latency_strip(const View& view, const Canvas& canvas) {
  Line line = labelled(canvas, "latency");
  line.to(kValues + kColumnsMax - view.columns.size());
  for (const Column& column : view.columns) {
    line.put(column.answers.total() == 0 ? " " : bar_of(column.slowest), style_of(column.answers));
  }
  return std::move(line).take();
}

std::string breaker_strip(const View& view, const Canvas& canvas) {
  Line line = labelled(canvas, "breaker");
  line.to(kValues + kColumnsMax - view.columns.size());
  for (const Column& column : view.columns) {
    line.put(level_of(column.breaker), style_of(column.breaker));
  }
  return std::move(line).take();
}

// "slow ───── ": the name as far as there is room, and a blank before the next spell.
void put_spell(Line& line, Weather weather, std::size_t length) {
  std::string spell(name_of(weather).substr(0, length - 1));
  const std::size_t named = spell.size() + 1;
  spell += ' ';
  for (std::size_t i = named; i + 1 < length; ++i) spell += "─";
  if (named < length) spell += ' ';
  line.put(spell, style_of(weather));
}

std::string weather_strip(const View& view, const Canvas& canvas) {
  Line line = labelled(canvas, "weather");
  line.to(kValues + kColumnsMax - view.columns.size());
  for (auto begin = view.columns.begin(); begin != view.columns.end();) {
    const auto end = std::find_if(begin, view.columns.end(), [begin](const Column& column) {
      return column.weather != begin->weather;
    });
    put_spell(line, begin->weather, static_cast<std::size_t>(end - begin));
    begin = end;
  }
  return std::move(line).take();
}

std::string axis(const View& view, const Canvas& canvas) {
  Line line = labelled(canvas, "");
  const Duration shown = view.column_length * static_cast<int>(kColumnsMax);
  line.put(seconds(shown) + " ago", Style::Dim).to(kDetails);
  line.put("median " + millis(view.median) + ", slowest " + millis(view.slowest));
  line.to(kValues + kColumnsMax - 3);
  line.put("now", Style::Dim);
  return std::move(line).take();
}

std::string users_line(const View& view, const Canvas& canvas) {
  const Tally& tally = view.tally;
  Line line = labelled(canvas, "users");
  line.put("fresh " + std::to_string(tally.fresh), style_of(Source::Fresh)).put("  ");
  line.put("replica " + std::to_string(tally.replica), style_of(Source::Replica)).put("  ");
  line.put("cache " + std::to_string(tally.cache), style_of(Source::Cache)).put("  ");
  line.put("failed " + std::to_string(tally.failed), tally.failed > 0 ? Style::Red : Style::Plain);
  return std::move(line).take();
}

std::string policies_line(const View& view, const Canvas& canvas) {
  Line line = labelled(canvas, "policies");
  line.put("retries " + std::to_string(view.retries) + "  timeouts " +
           std::to_string(view.timeouts) + "  rejected " + std::to_string(view.rejected) +
           "  late " + std::to_string(view.late) + "  ");
  line.put("budget " + std::to_string(std::lround(view.budget)) + "/" +
               std::to_string(std::lround(view.budget_max)),
           Style::Dim);
  return std::move(line).take();
}

std::string caption_line(const View& view, const Canvas& canvas) {
  Line line(canvas.width, canvas.colour);
  line.to(kIndent).put(caption_of(view), Style::Bold);
  return std::move(line).take();
}

std::string event_line(const Occurrence& event, Instant started, const Canvas& canvas) {
  Line line(canvas.width, canvas.colour);
  line.to(kIndent).put(clock_time(event.at - started), Style::Dim);
  line.to(kValues - 1).put(event.who, Style::Dim).to(kValues + 8);
  line.put(event.what, style_of(event.tone));
  return std::move(line).take();
}

}  // namespace

std::vector<std::string> draw(const View& view, const Canvas& canvas) {
  std::vector<std::string> lines = {
      title(view, canvas),
      "",
      server_line(view, canvas),
      breaker_line(view, canvas),
      window_line(view, canvas),
      "",
      latency_strip(view, canvas),
      breaker_strip(view, canvas),
      weather_strip(view, canvas),
      axis(view, canvas),
      "",
      users_line(view, canvas),
      policies_line(view, canvas),
      "",
      caption_line(view, canvas),
      "",
  };
  if (lines.size() > canvas.height) lines.resize(canvas.height);
  const std::size_t room = canvas.height - lines.size();
  const std::size_t skipped = view.events.size() - std::min(room, view.events.size());
  for (std::size_t i = skipped; i < view.events.size(); ++i) {
    lines.push_back(event_line(view.events[i], view.started, canvas));
  }
  return lines;
}

std::string summary_line(const View& view) {
  const recover::circuitbreaker::Counts& counts = view.breaker.counts;
  std::string line =
      clock_time(view.elapsed) + "  server " + std::string(name_of(view.outlook.now));
  line += ", breaker " + std::string(to_string(view.breaker.state)) + " (" +
          std::to_string(counts.failed) + "/" + std::to_string(counts.total) + " failed)";
  const std::pair<std::string_view, std::uint64_t> numbers[] = {
      {"fresh", view.tally.fresh}, {"replica", view.tally.replica},
      {"cache", view.tally.cache}, {"failed", view.tally.failed},
      {"retries", view.retries},   {"timeouts", view.timeouts},
      {"rejected", view.rejected}, {"late", view.late}};
  for (const auto& [name, number] : numbers) {
    line += ", " + std::string(name) + " " + std::to_string(number);
  }
  return line;
}

}  // namespace flaky
