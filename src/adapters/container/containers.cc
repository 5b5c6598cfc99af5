#include "adapters/container/containers.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <utility>

#include "adapters/container/engine_client.h"
#include "adapters/container/group.h"

namespace recover::adapters::container {
namespace {

using boost::system::error_code;
using core::ActionKind;
using core::CommandOutcome;
using namespace std::chrono_literals;

constexpr Duration kPauseMin = 200ms;
constexpr Duration kPauseMax = 15s;
constexpr Duration kLongest = std::chrono::hours{1};
constexpr int kOkMin = 200;
constexpr int kOkMax = 304;  // It was so already.

const char* const kDocker = "/var/run/docker.sock";
const char* const kPodman = "/run/podman/podman.sock";

std::string socket_of(const core::ContainerSpec& spec) {
  if (!spec.socket.empty()) return spec.socket;
  struct stat found {};
  return ::stat(kDocker, &found) != 0 && ::stat(kPodman, &found) == 0 ? kPodman : kDocker;
}

// The engine's own wait before it kills: what is left of ours, less a little for the answer.
std::string with_patience(const char* verb, Duration left) {
  const auto whole = std::chrono::duration_cast<std::chrono::seconds>(left).count();
  return std::string("/") + verb + "?t=" + std::to_string(std::clamp<long>(whole - 2, 1, 10));
}

std::string target_of(ActionKind action, int signal, Duration left) {
  if (action == ActionKind::Start) return "/start";
  if (action == ActionKind::Stop) return with_patience("stop", left);
  if (action == ActionKind::Freeze) return "/pause";
  if (action == ActionKind::Thaw) return "/unpause";
  if (action == ActionKind::Restart) return with_patience("restart", left);
  return "/kill?signal=" + std::to_string(signal);
}

}  // namespace

// ---- one socket

class Containers::Engine : public std::enable_shared_from_this<Engine> {
 public:
  Engine(Containers& owner, std::string socket)
      : owner_(owner), socket_(std::move(socket)), retry_(owner.loop_) {}

  void open() {
    if (stream_) return;
    const auto self = weak_from_this();
    const auto mine = [self](auto&& act) {
      if (const auto own = self.lock()) act(*own);
    };
    stream_ = std::make_unique<EngineStream>(
        owner_.loop_, socket_, "/events?filters=" + percent_encoded(R"({"type":["container"]})"),
        EngineStream::Hear{
            .opened = [mine] { mine([](Engine& own) { own.opened(); }); },
            .line = [mine](std::string_view line) { mine([&](Engine& own) { own.line(line); }); },
            .ended =
                [mine](const std::string& why) { mine([&](Engine& own) { own.ended(why); }); }});
  }

 private:
  template <class Act>
  void each_group(const Act& act) {
    for (const auto& [name, group] : owner_.groups_) {
      if (group->socket == socket_) act(*group);
    }
  }
  void opened() {
    pause_ = kPauseMin;
    reachable_ = true;
    each_group([](Group& group) { group.read(); });
  }
  void line(std::string_view text) {
    const auto event = parse_event(text);
    if (event) each_group([&](Group& group) { group.hear(*event); });
  }
  // Called from within the stream: it is destroyed in a later turn.
  void ended(const std::string& why) {
    boost::asio::post(owner_.loop_, [self = shared_from_this()] { self->stream_.reset(); });
    if (std::exchange(reachable_, false) || !told_) {
      owner_.options_.problem("the container engine cannot be reached: " + why);
    }
    told_ = true;
    each_group([&](Group& group) { group.lost("the container engine cannot be reached: " + why); });
    retry_.expires_after(pause_);
    pause_ = std::min(2 * pause_, kPauseMax);
    retry_.async_wait([self = weak_from_this()](error_code error) {
      const auto own = self.lock();
      if (!error && own) own->open();
    });
  }

  Containers& owner_;
  std::string socket_;
  boost::asio::steady_timer retry_;
  std::unique_ptr<EngineStream> stream_;
  Duration pause_ = kPauseMin;
  bool reachable_ = false;
  bool told_ = false;
};

// ---- commands

struct Containers::Job {
  core::Command command;
  ports::Done done;
  std::size_t waiting = 0;
  CommandOutcome outcome = CommandOutcome::Done;
  std::string detail;
  int signal = SIGTERM;
};

Containers::Containers(boost::asio::io_context& loop, ContainersOptions options)
    : loop_(loop), options_(std::move(options)) {}
Containers::~Containers() {
  *alive_ = false;
}

void Containers::watch(const core::Policy& policy) {
  std::map<std::string, std::shared_ptr<Group>> before = std::move(groups_);
  groups_.clear();
  for (std::uint32_t index = 0; index < policy.services.size(); ++index) {
    const core::ServicePolicy& service = policy.services[index];
    const auto* spec = std::get_if<core::ContainerSpec>(&service.spec);
    if (spec == nullptr) continue;
    const auto known = before.find(service.name);
    const bool same = known != before.end() && known->second->spec == *spec;
    const auto group =
        same ? known->second : std::make_shared<Group>(*this, *spec, socket_of(*spec));
    group->service = core::ServiceIndex{index};
    group->forget();
    groups_.emplace(service.name, group);
  }
  std::erase_if(engines_, [this](const auto& engine) {
    return std::ranges::none_of(
        groups_, [&](const auto& group) { return group.second->socket == engine.first; });
  });
  for (const auto& [name, group] : groups_) {
    auto& engine = engines_[group->socket];
    if (!engine) engine = std::make_shared<Engine>(*this, group->socket);
    engine->open();
    group->read();
  }
}

void Containers::look(core::ServiceIndex service) {
  for (const auto& [name, group] : groups_) {
    if (group->service == service) group->read();
  }
}

void Containers::report(const ports::Done& done, core::CommandFinished finished) {
  boost::asio::post(loop_, [done, finished = std::move(finished)] { done(finished); });
}

void Containers::perform(const core::Command& command, const core::Policy& policy,
                         ports::Done done) {
  const core::ServicePolicy& service = policy.service(command.service);
  const auto found = groups_.find(service.name);
  const bool known_action =
      command.action == ActionKind::Start || command.action == ActionKind::Stop ||
      command.action == ActionKind::Restart || command.action == ActionKind::Reload ||
      command.action == ActionKind::Signal || command.action == ActionKind::Freeze ||
      command.action == ActionKind::Thaw;
  core::CommandFinished finished{.command = command.id, .outcome = CommandOutcome::Refused};
  if (found == groups_.end() || !known_action) {
    finished.detail = found == groups_.end() ? service.name + " is not a container service"
                                             : std::string(core::to_string(command.action)) +
                                                   " is not an action on containers";
    return report(done, std::move(finished));
  }
  if (command.settle) {
    finished.outcome = CommandOutcome::Unknown;
    finished.detail = "it cannot be seen whether this was done";
    return report(done, std::move(finished));
  }
  auto job = std::make_shared<Job>();
  job->command = command;
  job->done = std::move(done);
  if (command.action == ActionKind::Reload) job->signal = SIGHUP;
  if (command.action == ActionKind::Signal) job->signal = core::signal_of(command, policy).signal;
  jobs_[command.id] = job;
  act(job, found->second->socket, found->second->ids());
}

void Containers::act(const std::shared_ptr<Job>& job, const std::string& socket,
                     const std::vector<std::string>& ids) {
  if (ids.empty()) return finish(job, CommandOutcome::Failed, "there is no such container");
  Duration left = kLongest;
  if (job->command.deadline != kNever) {
    left = std::clamp<Duration>(job->command.deadline - options_.now(), 1ms, kLongest);
  }
  job->waiting = ids.size();
  for (const std::string& id : ids) {
    request(
        loop_, socket, "POST",
        "/containers/" + percent_encoded(id) + target_of(job->command.action, job->signal, left),
        left, [this, alive = alive_, job, id](Result<EngineAnswer, std::string> answer) {
          if (!*alive) return;
          --job->waiting;
          const bool ok = answer && answer->status >= kOkMin && answer->status <= kOkMax;
          if (!answer && job->outcome == CommandOutcome::Done) {
            job->outcome = CommandOutcome::Unknown;  // It may have arrived.
          } else if (answer && !ok) {
            job->outcome = CommandOutcome::Failed;
          }
          if (!job->detail.empty()) job->detail += "; ";
          job->detail += id.substr(0, 64) + ": ";
          job->detail += !answer ? answer.error()
                         : ok    ? std::string("done")
                                 : parse_message(answer->body);
          if (job->waiting == 0) finish(job, job->outcome, job->detail);
        });
  }
}

void Containers::finish(const std::shared_ptr<Job>& job, CommandOutcome outcome,
                        std::string detail) {
  if (jobs_.erase(job->command.id) == 0) return;
  const auto group = std::ranges::find_if(
      groups_, [&](const auto& each) { return each.second->service == job->command.service; });
  if (group != groups_.end()) group->second->read();
  report(job->done, {.command = job->command.id, .outcome = outcome, .detail = std::move(detail)});
}

// What the engine was told goes on there; nobody waits for it any longer.
void Containers::cancel(core::CommandId command) {
  const auto found = jobs_.find(command);
  if (found == jobs_.end()) return;
  const std::shared_ptr<Job> job = found->second;
  finish(job, CommandOutcome::Unknown, "cancelled");
}

}  // namespace recover::adapters::container
