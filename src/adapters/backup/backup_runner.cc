#include "adapters/backup/backup_runner.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/json.hpp>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "adapters/backup/book_text.h"
#include "adapters/backup/job_text.h"
#include "adapters/backup/whole_file.h"

namespace recover::adapters::backup {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr Duration kBreath = 10ms;  // Between two turns: nothing spins.

std::int64_t local_offset(std::int64_t utc) {
  const std::time_t at = utc;
  std::tm local{};
  return ::localtime_r(&at, &local) != nullptr ? local.tm_gmtoff : 0;
}

void make_folder(const std::string& path) {
  static_cast<void>(::mkdir(path.c_str(), 0700));  // What uses it says what is wrong.
}

}  // namespace

std::vector<std::string> worker_variables(const std::string& token) {
  std::vector<std::string> variables{std::string(kTokenVariable) + "=" + token};
  if (const char* const home = std::getenv("HOME"))
    variables.push_back(std::string("HOME=") + home);
  if (const char* const zone = std::getenv("TZ")) variables.push_back(std::string("TZ=") + zone);
  return variables;
}

BackupRunner::BackupRunner(asio::io_context& loop, RunnerOptions options, core::BackupPolicy policy)
    : loop_(loop),
      options_(std::move(options)),
      folder_(options_.state_dir + "/backups"),
      reports_(folder_ + "/reports"),
      scratch_(loop, folder_ + "/scratch", [this](const std::string& text) { problem(text); }),
      guards_(loop, {.worker = options_.worker,
                     .folder = folder_,
                     .kill_all = options_.kill_all,
                     .redact = options_.redact,
                     .ended =
                         [this](const std::string& type, std::string message) {
                           report(core::BackupStage::Retried, {core::BackupTask::Incremental, type},
                                  0, "",
                                  "the continuous protection of " + type +
                                      " ended: " + std::move(message));
                         }}),
      timer_(loop),
      stop_timer_(loop),
      waiting_(std::move(policy)) {}

BackupRunner::~BackupRunner() {
  for (auto& [key, active] : active_) {
    if (active.child) active.child->abandon();
  }
}

// What an earlier recoverd left running is ended: its runs are begun anew.
void BackupRunner::open() {
  const std::string path = folder_ + "/state.json";
  const auto text = read_whole(path);
  if (!text && waiting_.types.empty()) return;
  for (const char* below : {"", "/reports", "/mirrors", "/ledgers"}) make_folder(folder_ + below);
  core::BackupBook book;
  if (text) {
    auto read = parse_book(*text);
    if (read) {
      book = std::move(*read);
      saved_ = *text;
    } else {
      problem(path +
              " cannot be read, what was known of past backups is forgotten: " + read.error());
      static_cast<void>(std::rename(path.c_str(), (path + ".bad").c_str()));
    }
  }
  for (const auto& [key, record] : book.records) {
    if (record.owed && !record.owed->token.empty()) options_.kill_all(record.owed->token);
  }
  scratch_.open();
  plan_ = std::make_unique<core::BackupPlan>(std::exchange(waiting_, {}), std::move(book),
                                             local_offset, now());
  guards_.replace(plan_->policy());
}

void BackupRunner::watch(const core::Policy& policy) {
  services_.clear();
  for (std::uint32_t index = 0; index < policy.services.size(); ++index) {
    const auto* spec = std::get_if<core::BackupSpec>(&policy.services[index].spec);
    if (spec != nullptr) services_[spec->type] = core::ServiceIndex{index};
  }
  if (!std::exchange(watching_, true)) open();
  // Not from within this call: whoever makes us watch is not ready to be told yet.
  turn_soon();
}

void BackupRunner::replace(core::BackupPolicy policy) {
  if (!plan_) {
    waiting_ = std::move(policy);
    if (watching_) open();
  } else {
    plan_->replace(std::move(policy), now());
    guards_.replace(plan_->policy());
  }
  turn_soon();
}

// ---- turns

std::int64_t BackupRunner::now() const {
  return options_.wall_ns() / kSecond;
}

void BackupRunner::turn_soon() {
  asio::post(loop_, [this, alive = std::weak_ptr<int>(alive_)] {
    if (!alive.expired()) turn();
  });
}

void BackupRunner::turn() {
  if (!plan_ || stopped_) return;
  const auto starts = plan_->start_due(now());
  tell_told();
  for (const core::BackupStart& start : starts) begin(start);
  save();
  arm();
}

void BackupRunner::arm() {
  const std::int64_t wall = options_.wall_ns();
  const std::int64_t next = plan_->next_change(wall / kSecond);
  // The schedule is of the wall clock, which may be set: looked at again before long.
  Duration after = kLookMax;
  if (next < wall / kSecond + std::chrono::duration_cast<std::chrono::seconds>(kLookMax).count()) {
    after = std::clamp<Duration>(Duration{next * kSecond - wall}, kBreath, kLookMax);
  }
  // What is due and cannot begin is begun when another run ends.
  if (next <= wall / kSecond) after = std::max<Duration>(after, 1s);
  if (save_failed_) after = std::min<Duration>(after, 5s);
  timer_.expires_after(after);
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) turn();
  });
}

void BackupRunner::save() {
  std::string text = book_text(plan_->book());
  if (text == saved_) return;
  const auto written = write_whole(folder_ + "/state.json", text);
  if (written) {
    saved_ = std::move(text);
    save_failed_ = false;
  } else if (!std::exchange(save_failed_, true)) {
    problem("what is known of the backups cannot be kept, a restart would lose it: " +
            written.error());
  }
}

void BackupRunner::problem(const std::string& text) const {
  options_.problem(options_.redact(text));
}

void BackupRunner::report(core::BackupStage stage, const core::BackupKey& key, std::uint64_t run,
                          std::string actor, std::string message) {
  core::BackupReported event;
  const auto service = services_.find(key.name);
  if (!core::is_of_repository(key.task) && service != services_.end()) {
    event.service = service->second;
  }
  event.stage = stage;
  event.run = run;
  event.actor = std::move(actor);
  event.message = options_.redact(std::move(message));
  if (run != 0) event.message += " (run " + std::to_string(run) + ")";
  options_.sink(std::move(event));
}

void BackupRunner::tell_told() {
  for (const core::BackupTold& told : plan_->take_told()) {
    using What = core::BackupTold::What;
    const auto stage = told.what == What::Interrupted ? core::BackupStage::Interrupted
                                                      : core::BackupStage::Skipped;
    report(stage, told.key, told.run, "", name_of(told.key) + ": " + told.text);
  }
}

// ---- one run

void BackupRunner::begin(const core::BackupStart& start) {
  const core::BackupKey key = start.slot.key;
  Active active{.start = start,
                .token = "backup-" + std::to_string(start.owed.run) + "-" +
                         std::to_string(start.owed.attempts) + "-" +
                         std::to_string(options_.wall_ns()),
                .repository = plan_->policy().repositories.at(start.slot.repository).name,
                .scratch = {},
                .child = nullptr,
                .progress = {},
                .result = std::nullopt};
  plan_->name_processes(key, active.token);
  save();
  report(core::BackupStage::Started, key, start.owed.run, start.owed.actor,
         name_of(key) + " to " + active.repository + " began" +
             (start.owed.attempts > 1 ? ", attempt " + std::to_string(start.owed.attempts) : ""));
  std::string why_not;
  if (!core::is_of_repository(key.task)) {
    auto made = scratch_.make(plan_->policy().scratch);
    if (made) {
      active.scratch = std::move(*made);
    } else {
      why_not = std::move(made.error());
    }
  }
  clients::ChildSpec spec{.command = options_.worker,
                          .variables = worker_variables(active.token),
                          .limit = start.slot.timeout,
                          .kill_rest = true};
  spec.folder = "/";
  spec.input = job_text(plan_->policy(), start.slot,
                        {.scratch = active.scratch,
                         .parent = static_cast<std::int64_t>(::getpid()),
                         .folder = folder_,
                         .now = now()});
  spec.on_line = [this, key](std::string_view line) { hear(key, line); };
  active_.insert_or_assign(key, std::move(active));
  if (!why_not.empty()) return cannot_begin(key, std::move(why_not));
  auto child = clients::ChildRun::start(
      loop_, std::move(spec), [this, key](clients::ChildEnd end) { ended(key, std::move(end)); });
  if (!child) {
    return cannot_begin(key, options_.worker.front() + " cannot be run: " +
                                 std::generic_category().message(child.error()));
  }
  active_.at(key).child = std::move(*child);
}

void BackupRunner::cannot_begin(const core::BackupKey& key, std::string why) {
  clients::ChildEnd end;
  end.output = std::move(why);
  asio::post(loop_, [this, alive = std::weak_ptr<int>(alive_), key, end] {
    if (!alive.expired()) ended(key, end);
  });
}

void BackupRunner::hear(const core::BackupKey& key, std::string_view line) {
  auto message = parse_line(line);
  const auto active = active_.find(key);
  if (!message || active == active_.end()) return;
  if (is_result(*message)) {
    active->second.result = std::move(message);
  } else {
    message->erase("message_type");
    active->second.progress = boost::json::serialize(*message);
  }
}

void BackupRunner::ended(const core::BackupKey& key, clients::ChildEnd end) {
  auto node = active_.extract(key);
  const Active& active = node.mapped();
  options_.kill_all(active.token);  // What left its process group.
  core::BackupEnd how =
      judge({.child = std::move(end), .result = active.result}, static_cast<bool>(stopped_));
  how.error = options_.redact(std::move(how.error));
  settle(active, how);
  save();
  if (stopped_) {
    tell_stopped();
    return;
  }
  turn();
}

core::BackupEnd BackupRunner::judged_drill(core::BackupEnd end, ReportFacts& facts) const {
  const auto& types = plan_->policy().types;
  const auto type = std::ranges::find(types, facts.key.name, &core::BackupType::name);
  if (facts.key.task != core::BackupTask::Drill || type == types.end()) return end;
  const auto in_seconds = [](Duration wanted) {
    return std::chrono::duration<double>(wanted).count();
  };
  facts.rto_wanted = in_seconds(core::rto_of(*type));
  if (const auto rpo = core::wanted_rpo(*type)) facts.rpo_wanted = in_seconds(*rpo);
  // Nothing changed, nothing was lost: what is followed has no newer snapshot for that reason.
  const auto protection = guards_.view(type->name);
  if (protection && protection->reaches && end.rpo_seconds >= 0) {
    end.rpo_seconds = std::min(end.rpo_seconds, protection->exposed_seconds);
  }
  return core::judged_by_objectives(*type, std::move(end));
}

void BackupRunner::settle(const Active& active, core::BackupEnd end) {
  const core::BackupKey& key = active.start.slot.key;
  const core::BackupOwed owed = active.start.owed;
  const std::int64_t at = now();
  ReportFacts facts{.key = key, .repository = active.repository, .owed = owed, .ended_at = at};
  end = judged_drill(std::move(end), facts);
  facts.over = plan_->ended(key, end, at);
  const bool over = facts.over;
  if (!active.scratch.empty()) scratch_.remove(active.scratch);
  auto text = options_.redact(report_text(facts, end, active.result));
  const bool is_drill = key.task == core::BackupTask::Drill;
  if (const auto written = reports_.write(owed.run, text, is_drill); !written) {
    problem("the report of a backup was not kept: " + written.error());
  }
  if (end.good) {
    return report(core::BackupStage::Succeeded, key, owed.run, owed.actor,
                  success_story(key, *active.result, at - owed.started_at));
  }
  const auto stage = end.interrupted ? core::BackupStage::Interrupted
                     : over          ? core::BackupStage::Failed
                                     : core::BackupStage::Retried;
  report(stage, key, owed.run, owed.actor,
         name_of(key) + " failed: " + end.code + ": " + end.error +
             (over ? "" : "; it will be tried again"));
}

void BackupRunner::tell_stopped() {
  if (!active_.empty() || !guards_.is_idle()) return;
  stop_timer_.cancel();
  asio::post(loop_, std::exchange(stopped_, [] {}));
}

void BackupRunner::stop(std::function<void()> done) {
  timer_.cancel();
  stopped_ = std::move(done);
  guards_.stop([this] { tell_stopped(); });
  if (active_.empty() && guards_.is_idle()) return tell_stopped();
  for (auto& [key, active] : active_) {
    if (active.child) active.child->ask_to_end();
  }
  stop_timer_.expires_after(kStopTime);
  stop_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    for (auto& [key, active] : active_) {
      if (active.child) active.child->kill("killed when recoverd ended");
    }
    guards_.kill();
  });
}

}  // namespace recover::adapters::backup
