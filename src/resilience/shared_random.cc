#include <random>

#include <recover/shared_random.h>

namespace recover {

std::uint64_t entropy_seed() {
  std::random_device device;
  return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

}  // namespace recover
