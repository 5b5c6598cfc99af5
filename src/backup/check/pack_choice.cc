#include "backup/check/pack_choice.h"

#include <algorithm>
#include <random>

namespace recover::backup {
namespace {

bool is_in_part(const Digest& pack, const CheckOptions& options) {
  return pack.bytes[0] % std::max(1U, options.parts) == options.part;
}

bool is_due(const Digest& pack, const CheckOptions& options) {
  return options.ledger == nullptr || options.unread_for <= 0 ||
         options.now - options.ledger->last_read(pack) >= options.unread_for;
}

}  // namespace

std::vector<std::size_t> packs_to_read(const PackList& packs, const CheckOptions& options) {
  std::vector<std::size_t> chosen;
  for (std::size_t number = 0; number < packs.size(); ++number) {
    const Digest& id = packs.id(number);
    if (is_in_part(id, options) && is_due(id, options)) chosen.push_back(number);
  }
  if (options.share >= 1 && options.bytes_max == 0) return chosen;
  // Drawn anew each time: what one run passes over another finds.
  std::random_device random;
  std::shuffle(chosen.begin(), chosen.end(), random);
  if (options.ledger != nullptr) {
    std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
      return options.ledger->last_read(packs.id(a)) < options.ledger->last_read(packs.id(b));
    });
  }
  const auto count = static_cast<std::size_t>(options.share * static_cast<double>(chosen.size()));
  chosen.resize(std::min(chosen.size(), std::max<std::size_t>(1, count)));
  if (options.bytes_max == 0) return chosen;
  std::uint64_t bytes = 0;
  std::size_t taken = 0;
  while (taken < chosen.size() && bytes < options.bytes_max) bytes += packs.bytes(chosen[taken++]);
  chosen.resize(taken);
  return chosen;
}

}  // namespace recover::backup
