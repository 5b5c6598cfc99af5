#include "adapters/container/group.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "adapters/container/engine_client.h"

namespace recover::adapters::container {
namespace {

using core::OwnerVerdict;

constexpr Duration kQuestionLimit = std::chrono::seconds{10};
constexpr std::size_t kMembersMax = 1'000;
// Podman tells that a container was stopped only after it told that it ended and was cleaned up.
constexpr Duration kStopToldWithin = std::chrono::milliseconds{500};
constexpr Duration kCleanedUpWithin = std::chrono::seconds{10};
constexpr std::string_view kCleanedUp = "exited";  // Before that: `stopping`, `stopped`.
constexpr std::string_view kPodmanServer = "Libpod/";
constexpr int kNotFound = 404;
constexpr int kOk = 200;

std::string label_filter(const core::ContainerSpec& spec) {
  std::string labels = "\"com.docker.compose.service=" + spec.compose_service + "\"";
  if (!spec.compose_project.empty()) {
    labels += ",\"com.docker.compose.project=" + spec.compose_project + "\"";
  }
  return percent_encoded("{\"label\":[" + labels + "]}");
}

bool ends_it(const EngineEvent& event) {
  if (event.action == "stop" || event.action == "destroy" || event.action == "remove") return true;
  if (event.action != "kill") return false;
  static constexpr std::string_view kEnding[] = {"9",       "15",   "2",      "KILL",
                                                 "SIGKILL", "TERM", "SIGTERM"};
  return std::ranges::find(kEnding, event.signal) != std::end(kEnding);
}

}  // namespace

std::vector<std::string> Containers::Group::ids() const {
  if (!spec.container.empty()) return {spec.container};
  std::vector<std::string> all;
  for (const Member& member : members_) all.push_back(member.id);
  return all;
}

void Containers::Group::Member::becomes(const std::string& other) {
  id = other;
  forget_end();
}

void Containers::Group::Member::forget_end() {
  stop_asked = false;
  cleanups = 0;
}

void Containers::Group::forget() {
  told_missing_ = false;
  for (Member& member : members_) member.told.reset();
}

bool Containers::Group::concerns(const EngineEvent& event) const {
  if (!spec.container.empty()) {
    return event.name == spec.container || event.id.starts_with(spec.container) ||
           std::ranges::any_of(members_, [&](const Member& each) { return each.id == event.id; });
  }
  return event.compose_service == spec.compose_service &&
         (spec.compose_project.empty() || event.compose_project == spec.compose_project);
}

Containers::Group::Member* Containers::Group::find(const EngineEvent& event) {
  const auto found = std::ranges::find(members_, event.id, &Member::id);
  return found == members_.end() ? nullptr : &*found;
}

// Podman cleans up after every end; who stops a container does so as well, and when the two meet
// the event of the stop itself is lost. What is cleaned up after the end was told is nobody's stop.
bool Containers::Group::cleaned_up_twice(Member& member, const EngineEvent& event) {
  if (event.action != "cleanup") return false;
  if (member.told && member.told->verdict == OwnerVerdict::Failed) return false;
  return ++member.cleanups > 1;
}

void Containers::Group::hear(const EngineEvent& event) {
  if (!concerns(event) || event.action.starts_with("exec_")) return;
  if (Member* member = find(event)) {
    if (ends_it(event) || cleaned_up_twice(*member, event)) member->stop_asked = true;
    if (event.action == "start") member->forget_end();
  }
  read();
}

void Containers::Group::read() {
  if (waiting_ > 0) {
    again_ = true;
    return;
  }
  again_ = false;
  if (!spec.container.empty()) {
    if (members_.empty()) members_.emplace_back();
    return inspect(0, spec.container);
  }
  list();
}

void Containers::Group::answered() {
  --waiting_;
  if (waiting_ == 0 && again_) read();
}

void Containers::Group::list() {
  ++waiting_;
  request(owner_.loop_, socket, "GET", "/containers/json?all=1&filters=" + label_filter(spec),
          kQuestionLimit, [weak = weak_from_this()](Result<EngineAnswer, std::string> answer) {
            const auto self = weak.lock();
            if (!self) return;
            if (answer && answer->status == kOk) self->settle(parse_ids(answer->body));
            self->answered();
          });
}

// Who is there keeps its place, so that an instance is the same container from look to look.
void Containers::Group::settle(std::vector<std::string> found) {
  if (found.size() > kMembersMax) found.resize(kMembersMax);
  if (found.empty() && members_.empty()) {
    return missing("no container of the compose service " + spec.compose_service);
  }
  for (std::size_t place = 0; place < members_.size(); ++place) {
    Member& member = members_[place];
    if (std::ranges::find(found, member.id) != found.end()) continue;
    // Removed: another one may take its place.
    const auto fresh = std::ranges::find_if(found, [this](const std::string& id) {
      return std::ranges::find(members_, id, &Member::id) == members_.end();
    });
    if (fresh != found.end()) {
      member.becomes(*fresh);
      continue;
    }
    ContainerReport gone;
    gone.verdict = OwnerVerdict::Stopped;
    gone.detail = "the container was removed";
    if (member.told != gone) tell(static_cast<std::uint32_t>(place), gone);
    member.told = gone;
  }
  for (const std::string& id : found) {
    if (std::ranges::find(members_, id, &Member::id) == members_.end()) {
      members_.emplace_back().id = id;
    }
  }
  for (std::size_t place = 0; place < members_.size(); ++place) {
    if (std::ranges::find(found, members_[place].id) != found.end()) {
      inspect(place, members_[place].id);
    }
  }
}

void Containers::Group::inspect(std::size_t position, const std::string& id) {
  ++waiting_;
  request(owner_.loop_, socket, "GET", "/containers/" + percent_encoded(id) + "/json",
          kQuestionLimit,
          [weak = weak_from_this(), position, id](Result<EngineAnswer, std::string> answer) {
            const auto self = weak.lock();
            if (!self) return;
            if (answer && answer->status == kNotFound) self->missing("no container " + id);
            const auto facts =
                answer && answer->status == kOk ? parse_container(answer->body) : std::nullopt;
            // Older than what was heard meanwhile: the next answer tells.
            if (facts && !self->again_) {
              self->observe(position, *facts, answer->server.starts_with(kPodmanServer));
            }
            self->answered();
          });
}

void Containers::Group::missing(const std::string& why) {
  ContainerReport report;
  const bool asked = !members_.empty() && members_.front().stop_asked;
  report.verdict = asked ? OwnerVerdict::Stopped : OwnerVerdict::Failed;
  report.detail = why;
  if (std::exchange(told_missing_, true)) return;
  if (!members_.empty()) members_.front().told.reset();
  tell(0, report);
}

// True: it ended, and whether somebody stopped it is still to be told.
bool Containers::Group::holds_back(Member& member, const ContainerFacts& facts) {
  const bool ended = facts.status != "running" && facts.status != "paused";
  if (!ended || !member.ran || member.stop_asked) {
    member.held_until = kNever;
    member.cleaned_up = false;
    return false;
  }
  const Instant now = std::chrono::steady_clock::now();
  const bool cleaned_up = facts.status == kCleanedUp;
  if (member.held_until == kNever || (cleaned_up && !member.cleaned_up)) {
    member.held_until = now + (cleaned_up ? kStopToldWithin : kCleanedUpWithin);
    member.cleaned_up = cleaned_up;
  }
  if (now >= member.held_until) return false;
  Instant next = member.held_until;
  for (const Member& each : members_) {
    if (each.held_until > now) next = std::min(next, each.held_until);
  }
  ask_again_at(next);
  return true;
}

void Containers::Group::ask_again_at(Instant when) {
  ask_again_.expires_at(when);
  ask_again_.async_wait([weak = weak_from_this()](boost::system::error_code error) {
    const auto self = weak.lock();
    if (self && !error) self->read();
  });
}

void Containers::Group::observe(std::size_t position, const ContainerFacts& facts,
                                bool tells_late) {
  if (position >= members_.size()) return;
  unreachable_ = false;
  told_missing_ = false;
  Member& member = members_[position];
  if (member.id != facts.id) member.becomes(facts.id);
  const ContainerReport report = judge(facts, member.stop_asked, member.ran);
  // The start of this run was not heard. That it is told to stop may have been.
  const bool runs = facts.status == "running";
  if (runs && (!member.told || member.told->run != report.run)) member.cleanups = 0;
  if (tells_late && holds_back(member, facts)) return;
  member.ran = report.verdict == OwnerVerdict::Up || report.verdict == OwnerVerdict::Starting ||
               runs || report.verdict == OwnerVerdict::Healing;
  if (member.told == report) return;
  member.told = report;
  tell(static_cast<std::uint32_t>(position), report);
}

void Containers::Group::lost(const std::string& why) {
  if (std::exchange(unreachable_, true)) return;
  forget();
  for (Member& member : members_) {
    member.ran = false;
    member.forget_end();
  }
  ContainerReport report;
  report.detail = why;
  tell(0, report);
}

void Containers::Group::tell(std::uint32_t instance, const ContainerReport& report) {
  core::OwnerReported event;
  event.service = service;
  event.instance = instance;
  event.verdict = report.verdict;
  event.code = report.code;
  event.signal = report.signal;
  event.within = report.within;
  event.detail = report.detail;
  if (report.verdict == OwnerVerdict::Up) {
    event.incarnation.pid = report.pid;
    event.incarnation.start_time = owner_.options_.start_time_of(report.pid);
    // In another pid namespace than ours: the run itself tells it from the next.
    if (event.incarnation.start_time == 0) {
      event.incarnation = {.pid = 0, .start_time = std::hash<std::string>{}(report.run)};
    }
  }
  owner_.options_.sink(std::move(event));
}

}  // namespace recover::adapters::container
