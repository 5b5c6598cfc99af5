// Reads what systemd sends about a unit: the dictionaries of GetAll and PropertiesChanged.
#pragma once

#include <systemd/sd-bus.h>

#include "adapters/systemd/unit_state.h"

namespace recover::adapters::systemd {

// The message stands at an a{sv}; known keys are put into `into`, others skipped. False: damaged.
bool read_properties(sd_bus_message* message, UnitProperties& into);

}  // namespace recover::adapters::systemd
