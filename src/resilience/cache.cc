#include <array>
#include <string>

#include <recover/cache.h>

namespace recover::cache {

Result<void> CacheConfig::validate() const {
  if (entries_max < 1 || entries_max > kEntriesMax) {
    return Unexpected(Error::invalid_config("cache.entries_max: must be 1 to " +
                                            std::to_string(kEntriesMax) + ", got " +
                                            std::to_string(entries_max)));
  }
  struct Field {
    const char* name;
    Duration value;
  };
  const std::array<Field, 4> fields = {{{"max_age", max_age},
                                        {"stale_while_revalidate", stale_while_revalidate},
                                        {"stale_if_error", stale_if_error},
                                        {"negative_ttl", negative_ttl}}};
  for (const Field& field : fields) {
    if (field.value >= Duration::zero()) continue;
    return Unexpected(Error::invalid_config("cache." + std::string(field.name) +
                                            ": must be at least 0 ns, got " +
                                            std::to_string(field.value.count())));
  }
  return {};
}

}  // namespace recover::cache
