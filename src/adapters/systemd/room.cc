// The part that watches: the bus, the units, their signals.
#include "adapters/systemd/room.h"

#include <cmath>
#include <cstdlib>
#include <utility>

#include "adapters/systemd/unit_properties.h"

namespace recover::adapters::systemd {
namespace {

constexpr const char* kSystemd = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManager = "org.freedesktop.systemd1.Manager";
constexpr const char* kProperties = "org.freedesktop.DBus.Properties";
constexpr const char* kUnitInterface = "org.freedesktop.systemd1.Unit";

std::string path_of(const std::string& unit) {
  char* made = nullptr;
  if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit.c_str(), &made) < 0) return {};
  std::string path = made;
  std::free(made);
  return path;
}

std::string from_manager(const char* member) {
  return std::string("type='signal',sender='org.freedesktop.systemd1',path='") + kManagerPath +
         "',interface='" + kManager + "',member='" + member + "'";
}

// What is not given is not touched.
bool add_limits(sd_bus_message* message, const std::string& unit, const core::LimitPolicy& limits) {
  constexpr double kSecondUs = 1e6;
  const auto add = [message](const char* name, std::optional<std::uint64_t> value) {
    return !value || sd_bus_message_append(message, "(sv)", name, "t", *value) >= 0;
  };
  std::optional<std::uint64_t> cpu_us;
  if (limits.cpu) cpu_us = static_cast<std::uint64_t>(std::llround(*limits.cpu * kSecondUs));
  return sd_bus_message_append(message, "sb", unit.c_str(), 1) >= 0 &&
         sd_bus_message_open_container(message, 'a', "(sv)") >= 0 &&
         add("MemoryMax", limits.memory) && add("CPUQuotaPerSecUSec", cpu_us) &&
         add("TasksMax", limits.pids) && sd_bus_message_close_container(message) >= 0;
}

}  // namespace

Units::Room::Room(boost::asio::io_context& loop, UnitsOptions options)
    : loop_(loop),
      options_(std::move(options)),
      bus_(loop, options_.address,
           {.connected = [this] { connected(); },
            .lost = [this](const std::string& why) { lost(why); }}) {}

Units::Room::~Room() {
  *alive_ = false;
}

void Units::Room::watch(const core::Policy& policy) {
  std::map<std::string, std::unique_ptr<Unit>> before = std::move(units_);
  units_.clear();
  for (std::uint32_t index = 0; index < policy.services.size(); ++index) {
    const auto* spec = std::get_if<core::SystemdSpec>(&policy.services[index].spec);
    if (spec == nullptr) continue;
    const std::string name = full_name(spec->unit);
    auto known = before.find(name);
    std::unique_ptr<Unit> unit;
    if (known != before.end() && known->second) {
      unit = std::move(known->second);
    } else {
      unit = std::make_unique<Unit>(name);
    }
    unit->service = core::ServiceIndex{index};
    unit->limits = spec->limits;
    unit->path = path_of(name);
    units_.emplace(name, std::move(unit));
  }
  if (units_.empty()) return;
  bus_.open();
  for (const auto& [name, unit] : units_) {
    unit->state.forget();  // Indices may have moved: everything is told again.
    if (bus_.connected()) {
      follow(*unit);
      read(*unit);
    }
  }
}

void Units::Room::look(core::ServiceIndex service) {
  for (const auto& [name, unit] : units_) {
    if (unit->service == service && bus_.connected()) read(*unit);
  }
}

Units::Room::Unit* Units::Room::find(const std::string& name) {
  const auto found = units_.find(name);
  return found == units_.end() ? nullptr : found->second.get();
}

MessagePtr Units::Room::manager(const char* member) {
  return bus_.method(kSystemd, kManagerPath, kManager, member);
}

// ---- the bus

void Units::Room::connected() {
  lost_why_.clear();
  bus_.match(from_manager("JobRemoved"), [this](sd_bus_message* message) { job_removed(message); });
  // Unit files were read anew: masks, names and limits may have changed.
  bus_.match(from_manager("Reloading"), [this](sd_bus_message* message) {
    int begins = 0;
    if (sd_bus_message_read(message, "b", &begins) >= 0 && begins == 0) read_all();
  });
  // systemd replaced itself: it has forgotten who listens.
  bus_.match(
      "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
      "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='org.freedesktop.systemd1'",
      [this](sd_bus_message* message) {
        const char* name = nullptr;
        const char* before = nullptr;
        const char* after = nullptr;
        if (sd_bus_message_read(message, "sss", &name, &before, &after) < 0) return;
        if (*after != '\0') subscribe();
      });
  for (const auto& [name, unit] : units_) unit->matched = false;
  subscribe();
}

void Units::Room::subscribe() {
  bus_.call(manager("Subscribe"), [](Result<sd_bus_message*, BusError> /*answer*/) {});
  read_all();
}

void Units::Room::lost(const std::string& why) {
  std::vector<core::CommandId> lost_jobs;
  for (const auto& [id, job] : jobs_) lost_jobs.push_back(id);
  for (const core::CommandId id : lost_jobs) end(id, core::CommandOutcome::Unknown, why);
  const bool first = lost_why_.empty();
  lost_why_ = why;
  if (first) options_.problem(why);
  for (const auto& [name, unit] : units_) {
    unit->reading = false;
    unit->matched = false;
    unit->state.forget();
    if (first) emit(*unit, {.verdict = core::OwnerVerdict::Lost, .detail = why});
  }
}

// ---- units

void Units::Room::read_all() {
  for (const auto& [name, unit] : units_) {
    follow(*unit);
    read(*unit);
  }
}

void Units::Room::follow(Unit& unit) {
  if (std::exchange(unit.matched, true)) return;
  bus_.match("type='signal',sender='org.freedesktop.systemd1',path='" + unit.path +
                 "',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
             [this, name = unit.name](sd_bus_message* message) {
               if (Unit* known = find(name)) changed(*known, message);
             });
}

void Units::Room::read(Unit& unit) {
  if (unit.reading) {
    unit.again = true;
    return;
  }
  MessagePtr message = bus_.method(kSystemd, unit.path.c_str(), kProperties, "GetAll");
  if (!message || sd_bus_message_append(message.get(), "s", "") < 0) return;
  unit.reading = true;
  unit.again = false;
  bus_.call(message, [this, name = unit.name](Result<sd_bus_message*, BusError> answer) {
    Unit* known = find(name);
    if (known == nullptr) return;
    known->reading = false;
    if (known->again) return read(*known);  // What came may be older than what changed.
    UnitProperties fresh;
    if (!answer) {
      fresh.load_state = "error";
      fresh.load_error = answer.error().message;
      fresh.active_state = "inactive";
    } else if (!read_properties(*answer, fresh)) {
      return;
    }
    known->properties = fresh;
    told(*known, true);
    limit(*known);
  });
}

// systemd sends the part of the kind first and that of the unit last: the latter completes a
// change.
void Units::Room::changed(Unit& unit, sd_bus_message* message) {
  const char* interface = nullptr;
  if (sd_bus_message_read(message, "s", &interface) < 0) return;
  if (!read_properties(message, unit.properties)) return;
  if (std::string_view(interface) == kUnitInterface) told(unit, false);
}

// A failure is only believed from a full reading: parts may be older than others, and a unit can
// be `failed` for a moment on its way to `auto-restart`.
void Units::Room::told(Unit& unit, bool confirmed) {
  const std::string& active = unit.properties.active_state;
  if (!confirmed && (active == "failed" || active == "inactive")) return read(unit);
  if (const auto report = unit.state.observe(unit.properties)) emit(unit, *report);
}

void Units::Room::emit(const Unit& unit, const UnitReport& report) {
  core::OwnerReported event{.service = unit.service,
                            .verdict = report.verdict,
                            .code = report.code,
                            .signal = report.signal,
                            .within = report.within,
                            .detail = report.detail};
  if (report.verdict == core::OwnerVerdict::Up) {
    event.incarnation.pid = report.pid;
    event.incarnation.start_time =
        report.pid == 0 ? unit.properties.active_enter_us : options_.start_time_of(report.pid);
  }
  options_.sink(std::move(event));
}

// Limits of the configuration, set for as long as the unit lives, once each time they change.
void Units::Room::limit(Unit& unit) {
  if (unit.limits_set.value_or(core::LimitPolicy{}) == unit.limits) return;
  if (unit.properties.load_state != "loaded") return;
  MessagePtr message = manager("SetUnitProperties");
  if (!message || !add_limits(message.get(), unit.name, unit.limits)) return;
  unit.limits_set = unit.limits;
  bus_.call(message, [this, name = unit.name](Result<sd_bus_message*, BusError> answer) {
    if (!answer) options_.problem(name + ": its limits cannot be set: " + answer.error().message);
  });
}

}  // namespace recover::adapters::systemd
