#include "adapters/backup/guards.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "adapters/backup/backup_runner.h"
#include "adapters/backup/job_text.h"
#include "adapters/backup/run_story.h"
#include "base/duration_text.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;

constexpr std::chrono::steady_clock::duration kBackOffFirst = 1s;
constexpr std::chrono::steady_clock::duration kBackOffMax = 60s;

std::optional<double> number_of(const json::object& line, std::string_view key) {
  const json::value* const value = line.if_contains(key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->to_number<double>();
}

std::string words_of(const json::object& line, std::string_view key) {
  const json::value* const value = line.if_contains(key);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string seconds_words(double value) {
  const auto tenths = std::chrono::milliseconds(static_cast<std::int64_t>(value * 10) * 100);
  return base::format_duration(tenths);
}

}  // namespace

struct Guards::Guard {
  explicit Guard(boost::asio::io_context& loop) : timer(loop) {}

  std::string job;
  Duration rpo{};
  Duration patience{};  // With a first walk.
  std::uint64_t number = 0;
  std::string token;
  std::shared_ptr<clients::ChildRun> child;  // None: it waits to be begun again.
  boost::asio::steady_timer timer;
  Clock::duration back_off = kBackOffFirst;
  Clock::time_point since = Clock::now();  // Wanted since.
  Clock::time_point begun;                 // Of this worker.
  // All that happened before is on the store; none: nothing has been said yet.
  std::optional<Clock::time_point> reaches;
  ports::BackupProtectionView told;
  std::string code;  // Of what is wrong; empty: nothing.

  double exposed() const {
    return std::chrono::duration<double>(Clock::now() - reaches.value_or(since)).count();
  }
  bool is_missed() const {
    const bool walks = !reaches && child && code.empty();
    const Duration limit = walks ? std::max(rpo, patience) : rpo;
    return exposed() > std::chrono::duration<double>(limit).count();
  }
};

Guards::Guards(boost::asio::io_context& loop, GuardOptions options)
    : loop_(loop), options_(std::move(options)) {}

Guards::~Guards() {
  for (auto& [type, guard] : guards_) {
    if (guard->child) guard->child->abandon();
  }
  for (const auto& child : leaving_) child->abandon();
}

void Guards::replace(const core::BackupPolicy& policy) {
  std::map<std::string, std::uint32_t> wanted;
  for (std::uint32_t i = 0; i < policy.types.size(); ++i) {
    if (policy.types[i].continuous && !idle_) wanted[policy.types[i].name] = i;
  }
  for (auto guard = guards_.begin(); guard != guards_.end();) {
    const auto type = wanted.find(guard->first);
    const bool same = type != wanted.end() && guard->second->job == job_of(policy, type->second);
    if (same) {
      wanted.erase(type);
      ++guard;
      continue;
    }
    if (guard->second->child) {
      guard->second->child->ask_to_end();
      leaving_.push_back(std::move(guard->second->child));
    }
    guard = guards_.erase(guard);
  }
  for (const auto& [name, index] : wanted) {
    auto guard = std::make_unique<Guard>(loop_);
    guard->job = job_of(policy, index);
    guard->rpo = core::rpo_of(policy.types[index]);
    guard->patience = policy.types[index].timeout;
    guard->told.wanted_seconds = std::chrono::duration<double>(guard->rpo).count();
    guards_[name] = std::move(guard);
    begin(name);
  }
}

std::string Guards::job_of(const core::BackupPolicy& policy, std::uint32_t type) const {
  return protection_job(policy, type, {.parent = ::getpid(), .folder = options_.folder});
}

void Guards::begin(const std::string& type) {
  Guard& guard = *guards_.at(type);
  guard.number = next_++;
  guard.begun = Clock::now();
  guard.token =
      "protection-" + type + "-" + std::to_string(::getpid()) + "-" + std::to_string(guard.number);
  clients::ChildSpec spec{
      .command = options_.worker, .variables = worker_variables(guard.token), .kill_rest = true};
  spec.folder = "/";
  spec.input = guard.job;
  spec.on_line = [this, type, number = guard.number](std::string_view line) {
    const auto found = guards_.find(type);
    if (found != guards_.end() && found->second->number == number) hear(*found->second, line);
  };
  const auto told = [this, type, number = guard.number](clients::ChildEnd end) {
    heard_end(type, number, std::move(end));
  };
  auto child = clients::ChildRun::start(loop_, std::move(spec), told);
  if (child) {
    guard.child = std::move(*child);
    return;
  }
  clients::ChildEnd end;
  end.output =
      options_.worker.front() + " cannot be run: " + std::generic_category().message(child.error());
  boost::asio::post(loop_, [told, end] { told(end); });
}

void Guards::hear(Guard& guard, std::string_view line) {
  const auto message = parse_line(line);
  if (!message) return;
  const std::string type = words_of(*message, "message_type");
  ports::BackupProtectionView& told = guard.told;
  if (type == "result" || type == "waiting") {
    guard.code = words_of(*message, "code");
    told.error = options_.redact(words_of(*message, "error"));
  } else if (type == "snapshot") {
    guard.code.clear();
    told.error.clear();
    guard.back_off = kBackOffFirst;
  }
  if (type == "result") return;
  if (const auto oldest = number_of(*message, "oldest_seconds")) {
    const auto age = std::chrono::duration<double>(*oldest);
    guard.reaches = Clock::now() - std::chrono::duration_cast<Clock::duration>(age);
  }
  told.feed = words_of(*message, "feed");
  told.feed_trouble = words_of(*message, "feed_trouble");
  told.changes_waiting =
      static_cast<std::uint64_t>(number_of(*message, "changes_waiting").value_or(0));
  told.last_seconds = number_of(*message, "rpo_last_seconds");
  if (const auto worst = number_of(*message, "rpo_worst_seconds")) {
    told.worst_seconds = std::max(told.worst_seconds.value_or(0), *worst);
  }
}

void Guards::heard_end(const std::string& type, std::uint64_t number, clients::ChildEnd end) {
  std::erase_if(leaving_, [](const auto& child) { return child->pid() == 0; });
  const auto found = guards_.find(type);
  if (found == guards_.end() || found->second->number != number) return tell_idle();
  Guard& guard = *found->second;
  guard.child = nullptr;
  options_.kill_all(guard.token);
  if (idle_) return tell_idle();
  if (guard.code.empty()) {
    guard.code = "WORKER";
    guard.told.error = options_.redact("its process ended: " + end.text() +
                                       (end.output.empty() ? "" : ": " + end.output));
  }
  ++guard.told.restarts;
  if (Clock::now() - guard.begun > kBackOffMax) guard.back_off = kBackOffFirst;
  options_.ended(
      type, guard.told.error + "; it is begun again in " + base::format_duration(guard.back_off));
  guard.timer.expires_after(guard.back_off);
  guard.back_off = std::min(2 * guard.back_off, kBackOffMax);
  guard.timer.async_wait([this, type, number](const boost::system::error_code& error) {
    const auto again = guards_.find(type);
    if (!error && again != guards_.end() && again->second->number == number) begin(type);
  });
}

std::optional<ports::BackupProtectionView> Guards::view(const std::string& type) const {
  const auto found = guards_.find(type);
  if (found == guards_.end()) return std::nullopt;
  const Guard& guard = *found->second;
  ports::BackupProtectionView view = guard.told;
  view.state = !guard.child          ? "restarting"
               : !guard.code.empty() ? "waiting"
               : guard.reaches       ? "protecting"
                                     : "walking";
  view.reaches = guard.reaches.has_value();
  view.exposed_seconds = guard.exposed();
  view.is_missed = guard.is_missed();
  return view;
}

core::BackupVerdict Guards::judge(const std::string& type, core::BackupVerdict made) const {
  const auto found = guards_.find(type);
  if (found == guards_.end() || made.health == core::BackupHealth::Bad) return made;
  const Guard& guard = *found->second;
  const std::string wanted = base::format_duration(guard.rpo);
  if (guard.is_missed()) {
    const std::string what = guard.reaches
                                 ? "what changed in the last " + seconds_words(guard.exposed()) +
                                       " is on no store, wanted is an RPO of " + wanted
                                 : "nothing is on the store yet";
    return {.health = core::BackupHealth::Bad,
            .code = guard.code.empty() ? "RPO_MISSED" : guard.code,
            .detail = what + (guard.told.error.empty() ? "" : "; " + guard.told.error)};
  }
  if (guard.reaches) {
    return {.health = core::BackupHealth::Good, .code = {}, .detail = "protected, RPO " + wanted};
  }
  return made;
}

// ---- the end

bool Guards::is_idle() const {
  return leaving_.empty() && std::all_of(guards_.begin(), guards_.end(), [](const auto& each) {
           return each.second->child == nullptr;
         });
}

void Guards::tell_idle() {
  if (idle_ && is_idle()) idle_();
}

void Guards::stop(std::function<void()> idle) {
  idle_ = std::move(idle);
  for (auto& [type, guard] : guards_) {
    guard->timer.cancel();
    if (guard->child) guard->child->ask_to_end();
  }
}

void Guards::kill() {
  for (auto& [type, guard] : guards_) {
    if (guard->child) guard->child->kill("killed when recoverd ended");
  }
  for (const auto& child : leaving_) child->kill("killed when recoverd ended");
}

}  // namespace recover::adapters::backup
