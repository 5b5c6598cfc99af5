#include "core/hold.h"

#include <algorithm>

namespace recover::core {

bool is_held(const ServiceHealth& health, std::uint32_t index) noexcept {
  return index < health.instances.size() && health.instances[index].held;
}

std::vector<std::uint32_t> held_instances(const ServiceHealth& health) {
  std::vector<std::uint32_t> held;
  for (std::uint32_t index = 0; index < health.instances.size(); ++index) {
    if (health.instances[index].held) held.push_back(index);
  }
  return held;
}

bool leaves_one(const ServiceHealth& health, std::uint32_t desired) noexcept {
  for (std::uint32_t index = 0; index < desired; ++index) {
    if (!is_held(health, index)) return true;
  }
  return desired == 0;
}

bool hold(ServiceHealth& health, std::uint32_t index) {
  if (health.instances.size() < health.desired) health.instances.resize(health.desired);
  health.instances.at(index).held = true;
  if (leaves_one(health, health.desired)) return true;
  release_all(health);
  return false;
}

void release(ServiceHealth& health, std::uint32_t index) {
  if (health.instances.size() < health.desired) health.instances.resize(health.desired);
  if (!health.wanted) {
    for (std::uint32_t other = 0; other < health.desired; ++other) {
      health.instances[other].held = true;
    }
  }
  health.instances.at(index).held = false;
}

void release_all(ServiceHealth& health) {
  for (InstanceHealth& instance : health.instances) instance.held = false;
}

void fit_holds(ServiceHealth& health) {
  for (std::size_t index = health.desired; index < health.instances.size(); ++index) {
    health.instances[index].held = false;
  }
  if (!health.wanted || leaves_one(health, health.desired)) return;
  release_all(health);
  health.wanted = false;
  health.start_pending = false;
  health.start_deadline = kNever;
}

}  // namespace recover::core
