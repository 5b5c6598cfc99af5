#include "apps/recoverd_backup/job.h"

#include <boost/json.hpp>

#include <algorithm>
#include <exception>
#include <stdexcept>

#include "apps/recoverd_backup/sources/source_json.h"

namespace recover::apps {
namespace {

namespace json = boost::json;
using Texts = std::vector<std::string>;

std::string text_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? std::string() : json::value_to<std::string>(*value);
}

bool flag_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value != nullptr && value->as_bool();
}

std::uint64_t number_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? 0 : value->to_number<std::uint64_t>();
}

template <class T>
T list_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? T() : json::value_to<T>(*value);
}

Task task_of(const std::string& name) {
  if (name == "backup") return Task::Backup;
  if (name == "verify") return Task::Verify;
  if (name == "restore-test") return Task::RestoreTest;
  if (name == "restore") return Task::Restore;
  if (name == "protect") return Task::Protect;
  if (name == "drill") return Task::Drill;
  if (name == "catch-up") return Task::CatchUp;
  throw std::invalid_argument("`" + name + "` is no task");
}

JobSource source_of(const json::object& object) {
  JobSource source{.paths = list_in<Texts>(object, "paths"),
                   .excludes = list_in<Texts>(object, "excludes"),
                   .one_file_system = flag_in(object, "one_file_system"),
                   .command = list_in<Texts>(object, "command"),
                   .name = text_in(object, "name"),
                   .native = native_source_of(object),
                   .query = text_in(object, "query"),
                   .expect = {}};
  if (object.contains("expect")) source.expect = text_in(object, "expect");
  if (source.name.empty()) source.name = core::kind_of(source.native);
  return source;
}

// The worker judges what it wrote itself, at that time: an older date is forged.
constexpr std::int64_t kBehindMax = std::int64_t{24} * 3600;

backup::Retention retention_of(const json::object& object) {
  const auto count = [&](std::string_view key) {
    return static_cast<unsigned>(number_in(object, key));
  };
  return {.last = count("last"),
          .hourly = count("hourly"),
          .daily = count("daily"),
          .weekly = count("weekly"),
          .monthly = count("monthly"),
          .yearly = count("yearly"),
          .within_seconds = static_cast<std::int64_t>(number_in(object, "within_seconds")),
          .behind_max_seconds = kBehindMax};
}

Protection protection_of(const json::object& object) {
  Protection protection;
  if (const std::uint64_t rpo = number_in(object, "rpo_ms"); rpo > 0) {
    protection.rpo = std::chrono::milliseconds(rpo);
  }
  if (const std::uint64_t period = number_in(object, "reconcile_ms"); period > 0) {
    protection.reconcile = std::chrono::milliseconds(period);
  }
  const std::string feed = text_in(object, "feed");
  if (feed == "inotify") protection.feed = backup::FeedWish::Inotify;
  if (feed == "none") protection.feed = backup::FeedWish::None;
  return protection;
}

backup::StoreWish store_of(const json::object& object) {
  return {.options = {},
          .bandwidth = {.upload_kib_per_second = number_in(object, "upload_kib"),
                        .download_kib_per_second = number_in(object, "download_kib")},
          .ca_file = text_in(object, "ca_file"),
          .access_key = text_in(object, "access_key"),
          .secret_key = base::Secret(text_in(object, "secret_key")),
          .session_token = {},
          .region = text_in(object, "region"),
          .append_only = flag_in(object, "append_only")};
}

void read_mirror(Job& job, const json::object& mirror) {
  job.mirror_name = text_in(mirror, "name");
  job.mirror_state = text_in(mirror, "state");
  for (const json::value& value : mirror.at("members").as_array()) {
    const json::object& member = value.as_object();
    job.members.push_back({.name = text_in(member, "name"),
                           .location = text_in(member, "location"),
                           .store = store_of(member),
                           .later = flag_in(member, "later")});
  }
  if (job.members.empty() || job.mirror_state.empty()) {
    throw std::invalid_argument("a mirror needs members and a state");
  }
}

void read_repository(Job& job, const json::object& object) {
  job.location = text_in(object, "location");
  job.password = base::Secret(text_in(object, "password"));
  job.store = store_of(object);
  if (const json::value* const mirror = object.if_contains("mirror")) {
    read_mirror(job, mirror->as_object());
  }
  if ((job.location.empty() && job.members.empty()) || job.password.empty()) {
    throw std::invalid_argument("the repository needs a location and a password");
  }
}

std::optional<double> level_in(const json::object& object, std::string_view key) {
  const json::value* const value = object.if_contains(key);
  return value == nullptr ? std::nullopt : std::optional(value->to_number<double>());
}

void read_load(JobLoad& load, const json::object& object) {
  if (const json::value* const nice = object.if_contains("nice")) {
    load.nice = nice->to_number<int>();
  }
  const std::string io_class = text_in(object, "io_class");
  if (io_class == "realtime") load.io_class = 1;
  if (io_class == "idle") load.io_class = 3;
  if (object.contains("io_priority")) {
    load.io_priority = static_cast<int>(number_in(object, "io_priority"));
  }
  if (const json::value* const most = object.if_contains("pause_max_ms")) {
    load.pause_max = std::chrono::milliseconds(most->to_number<std::int64_t>());
  }
  const json::value* const levels = object.if_contains("pause_on");
  if (levels == nullptr) return;
  load.pause_on = {.cpu = level_in(levels->as_object(), "cpu"),
                   .memory = level_in(levels->as_object(), "memory"),
                   .io = level_in(levels->as_object(), "io")};
}

void read_restore(JobRestore& restore, const json::object& object) {
  if (std::string wanted = text_in(object, "snapshot"); !wanted.empty()) {
    restore.snapshot = std::move(wanted);
  }
  restore.paths = list_in<Texts>(object, "paths");
  restore.exact = flag_in(object, "exact");
  restore.dry_run = flag_in(object, "dry_run");
  restore.points = std::max(1U, static_cast<std::uint32_t>(number_in(object, "points")));
}

}  // namespace

Result<Job, std::string> parse_job(std::string_view text) {
  try {
    const json::value document = json::parse(text);
    const json::object& object = document.as_object();
    Job job;
    job.task = task_of(text_in(object, "task"));
    job.type = text_in(object, "type");
    if (const auto memory = number_in(object, "memory_mib"); memory != 0) {
      job.memory.mib = std::clamp<std::uint64_t>(memory, backup::MemoryBudget::kMibMin,
                                                 backup::MemoryBudget::kMibMax);
    }
    job.full = flag_in(object, "full");
    job.scratch = text_in(object, "scratch");
    if (const json::value* const share = object.if_contains("share")) {
      job.share = std::clamp(share->to_number<double>(), 0.0, 1.0);
    }
    job.ledgers = text_in(object, "ledgers");
    job.scratch_max = number_in(object, "scratch_max");
    job.parent = static_cast<std::int64_t>(number_in(object, "parent"));
    job.before = list_in<std::vector<Texts>>(object, "before");
    job.after = list_in<std::vector<Texts>>(object, "after");
    read_repository(job, object.at("repository").as_object());
    if (const json::value* const sources = object.if_contains("sources")) {
      for (const json::value& source : sources->as_array()) {
        job.sources.push_back(source_of(source.as_object()));
      }
    }
    if (const json::value* const retention = object.if_contains("retention")) {
      job.retention = retention_of(retention->as_object());
    }
    if (const json::value* const restore = object.if_contains("restore")) {
      read_restore(job.restore, restore->as_object());
    }
    job.protection = protection_of(object);
    if (const json::value* const load = object.if_contains("load")) {
      read_load(job.load, load->as_object());
    }
    return job;
  } catch (const std::exception& error) {
    return Unexpected(std::string(error.what()));
  }
}

}  // namespace recover::apps
