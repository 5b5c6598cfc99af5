// The part of Instance from nothing to a process: its pipe, its cgroup, the request to spawn.
#include <sys/random.h>

#include <array>
#include <cstdio>
#include <thread>
#include <utility>

#include "adapters/process/instance.h"
#include "adapters/process/output_pipe.h"

namespace recover::adapters::process {
namespace {

constexpr int kLeftoverTries = 50;
constexpr std::chrono::milliseconds kLeftoverPause{1};

std::string random_token() {
  std::array<unsigned char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  std::string token;
  for (const unsigned char byte : bytes) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    token += hex.data();
  }
  return token;
}

}  // namespace

Result<void, std::string> Instance::start(std::shared_ptr<const core::RunSpec> wanted) {
  // Whoever starts it again has recorded its end. Commands before it may take a while.
  if (!may_bury_later() || wanted->limits.pids || !wanted->before.empty()) bury();
  row_ = {.service = row_.service,
          .instance = row_.instance,
          .incarnation = {},
          .token = random_token(),
          .cgroup = {}};
  failure_.clear();
  killed_ = frozen_ = false;
  auto pipe = around_.pipes.take();
  if (!pipe) return Unexpected(failure_ = pipe.error());
  spec_ = std::move(wanted);
  const core::RunSpec& spec = *spec_;
  output_ =
      OutputLog(spec.output, [this](std::string_view line) { around_.host.on_line(*this, line); });
  pipe_ = std::move(pipe->reader);
  row_.output_inode = pipe->inode;
  make_errors();
  if (errors_) {
    if (const auto opened = errors_->open(); !opened) {
      pipe_.reset();  // Descriptors are what is short.
      return Unexpected(failure_ = opened.error());
    }
    row_.error_inode = errors_->inode();
  }
  status_.clear();
  reloading_ = completed_ = after_ran_ = false;
  watchdog_ = spec.watchdog.value_or(Duration::zero());
  enter_leaf(spec.limits);
  hook_output_ = std::move(pipe->writer);
  tree_.token = name() + ":" + row_.token;
  if (!spec.before.empty()) {
    prepare();
    return {};
  }
  return launch();
}

Result<void, std::string> Instance::launch() {
  auto wanted = request(*spec_);
  if (!wanted) return not_started(wanted.error());
  if (const auto passed = pass_channels(*wanted); !passed) return not_started(passed.error());
  wanted->record = around_.host.record_of(*this);
  auto spawned = spawn(*wanted);
  if (!spawned && spawned.error().unrecorded) {
    around_.host.on_unrecorded();
    wanted->record = around_.host.record_of(*this);
    spawned = spawn(*wanted);
  }
  ready_writer_.reset();
  if (!spawned) return not_started(spawned.error().message);
  hook_output_.reset();
  if (errors_) errors_->drop_writer();
  row_.incarnation = spawned->process.incarnation();
  phase_ = Phase::Starting;
  process_ = std::move(spawned->process);
  if (!spawned->in_leaf) tree_.leaf = {};
  attach();
  around_.keeper.store(label("out"), pipe_.get());
  if (errors_) around_.keeper.store(label("err"), errors_->reader());
  if (notify_) around_.keeper.store(label("notify"), notify_.fd());
  if (ready_line_) around_.keeper.store(label("ready"), ready_line_.get());
  around_.host.on_started(*this, false);
  await_ready();
  return {};
}

Result<void, std::string> Instance::not_started(std::string why) {
  failure_ = std::move(why);
  phase_ = Phase::Down;
  pipe_watch_ = {};
  pipe_.reset();
  hook_output_.reset();
  if (errors_) errors_->close();
  ready_line_.reset();
  notify_ = {};
  tree_.leaf.remove();
  leaf_is_clean_ = false;
  around_.host.on_changed(*this);
  return Unexpected(failure_);
}

// How everything of the service runs, its hooks as well.
Result<SpawnRequest, std::string> Instance::request(const core::RunSpec& spec) const {
  auto attributes = attributes_of(spec.execution);
  if (!attributes) return Unexpected(attributes.error());
  SpawnRequest wanted;
  wanted.command = spec.command;
  wanted.user = spec.user;
  wanted.group = spec.group;
  wanted.supplementary_groups = spec.execution.supplementary_groups;
  wanted.working_directory = spec.working_directory;
  wanted.umask = spec.umask;
  wanted.files = spec.limits.files;
  wanted.output = hook_output_.get();
  if (errors_) wanted.error = errors_->writer();
  wanted.leaf = tree_.leaf;
  wanted.attributes = std::move(attributes).value();
  for (const auto& [name, value] : spec.environment) {
    wanted.environment.emplace_back(name, value.reveal());
  }
  wanted.environment.emplace_back(kTokenVariable, tree_.token);
  return wanted;
}

void Instance::enter_leaf(const core::LimitPolicy& limits) {
  tree_ = {};
  if (around_.cgroups && !leaf_is_clean_) remove_leftover();
  const auto leaf = around_.cgroups ? around_.cgroups->leaf(name()) : std::nullopt;
  if (!leaf) {
    if (limits.memory || limits.cpu || limits.pids || limits.memory_high || limits.io_weight)
      note("no writable cgroup: limits not enforced");
    return;
  }
  tree_.leaf = *leaf;
  row_.cgroup = leaf->path();
  for (const std::string& missing : leaf->limit(limits)) {
    note("limit of " + missing + " not enforced: controller not delegated");
  }
}

// Left by a run nobody remembers; the leaf's name makes it ours. A leaf that cgroup.kill was
// written to is not entered again: Linux 6.14 and later end whatever is cloned into it.
void Instance::remove_leftover() {
  const CgroupLeaf leaf(around_.cgroups->path() + "/" + name());
  leaf.remove();
  for (int tries = 0; leaf.exists() && tries < kLeftoverTries; ++tries) {
    leaf.kill();
    std::this_thread::sleep_for(kLeftoverPause);
    leaf.remove();
  }
}

}  // namespace recover::adapters::process
