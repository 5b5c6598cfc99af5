#include "adapters/systemd/unit_properties.h"

#include <functional>
#include <map>
#include <string_view>

namespace recover::adapters::systemd {
namespace {

using Read = int (*)(sd_bus_message*, UnitProperties&);

template <std::string UnitProperties::*Member>
int text(sd_bus_message* message, UnitProperties& into) {
  const char* value = nullptr;
  const int result = sd_bus_message_read(message, "s", &value);
  if (result >= 0 && value != nullptr) into.*Member = value;
  return result;
}
template <std::uint32_t UnitProperties::*Member>
int number(sd_bus_message* message, UnitProperties& into) {
  return sd_bus_message_read(message, "u", &(into.*Member));
}
template <std::int32_t UnitProperties::*Member>
int whole(sd_bus_message* message, UnitProperties& into) {
  return sd_bus_message_read(message, "i", &(into.*Member));
}
template <std::uint64_t UnitProperties::*Member>
int time(sd_bus_message* message, UnitProperties& into) {
  return sd_bus_message_read(message, "t", &(into.*Member));
}
int job(sd_bus_message* message, UnitProperties& into) {
  const char* path = nullptr;
  return sd_bus_message_read(message, "(uo)", &into.job, &path);
}
int load_error(sd_bus_message* message, UnitProperties& into) {
  const char* name = nullptr;
  const char* reason = nullptr;
  const int result = sd_bus_message_read(message, "(ss)", &name, &reason);
  if (result >= 0 && reason != nullptr) into.load_error = reason;
  return result;
}

struct Key {
  const char* signature;
  Read read;
};

const Key* find(std::string_view name) {
  using P = UnitProperties;
  static const std::map<std::string_view, Key> kKeys = {
      {"LoadState", {"s", text<&P::load_state>}},
      {"ActiveState", {"s", text<&P::active_state>}},
      {"SubState", {"s", text<&P::sub_state>}},
      {"LoadError", {"(ss)", load_error}},
      {"Job", {"(uo)", job}},
      {"ActiveEnterTimestampMonotonic", {"t", time<&P::active_enter_us>}},
      {"Type", {"s", text<&P::type>}},
      {"Result", {"s", text<&P::result>}},
      {"Restart", {"s", text<&P::restart>}},
      {"MainPID", {"u", number<&P::main_pid>}},
      {"ExecMainCode", {"i", whole<&P::exit_code_kind>}},
      {"ExecMainStatus", {"i", whole<&P::exit_status>}},
      {"NRestarts", {"u", number<&P::restarts>}},
      {"RestartUSec", {"t", time<&P::restart_us>}},
      {"TimeoutStartUSec", {"t", time<&P::timeout_start_us>}},
  };
  const auto found = kKeys.find(name);
  return found == kKeys.end() ? nullptr : &found->second;
}

// One {sv}; 0 at the end of the dictionary.
int read_entry(sd_bus_message* message, UnitProperties& into) {
  int result = sd_bus_message_enter_container(message, 'e', "sv");
  if (result <= 0) return result;
  const char* name = nullptr;
  if (sd_bus_message_read(message, "s", &name) < 0) return -1;
  const Key* key = find(name);
  char type = 0;
  const char* contents = nullptr;
  if (sd_bus_message_peek_type(message, &type, &contents) < 0) return -1;
  if (key != nullptr && contents != nullptr && std::string_view(contents) == key->signature) {
    if (sd_bus_message_enter_container(message, 'v', contents) < 0) return -1;
    if (key->read(message, into) < 0) return -1;
    result = sd_bus_message_exit_container(message);
  } else {
    result = sd_bus_message_skip(message, "v");
  }
  if (result < 0) return -1;
  return sd_bus_message_exit_container(message) < 0 ? -1 : 1;
}

}  // namespace

bool read_properties(sd_bus_message* message, UnitProperties& into) {
  if (sd_bus_message_enter_container(message, 'a', "{sv}") < 0) return false;
  int result = 1;
  while (result > 0) result = read_entry(message, into);
  return result == 0 && sd_bus_message_exit_container(message) >= 0;
}

}  // namespace recover::adapters::systemd
