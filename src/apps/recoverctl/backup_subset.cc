#include "apps/recoverctl/backup_subset.h"

#include <charconv>
#include <cmath>
#include <string_view>

#include "apps/recoverctl/failure.h"

namespace recover::apps {

void choose_subset(backup::CheckOptions& options, const std::string& subset) {
  const char* const end = subset.data() + subset.size();
  double number = 0;
  const auto [rest, error] = std::from_chars(subset.data(), end, number);
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  constexpr std::string_view kUnits = "KMGT";
  const std::size_t power = unit.size() == 1 ? kUnits.find(unit[0]) : std::string_view::npos;
  unsigned parts = 0;
  const bool is_part = unit.starts_with('/') &&
                       std::from_chars(rest + 1, end, parts) ==
                           std::from_chars_result{.ptr = end, .ec = std::errc()} &&
                       number >= 1 && number <= parts && number == std::floor(number);
  if (is_part && parts <= 256) {
    options.part = static_cast<unsigned>(number) - 1;
    options.parts = parts;
  } else if (error == std::errc() && unit == "%" && number > 0 && number <= 100) {
    options.share = number / 100;
  } else if (error == std::errc() && number >= 1 && (unit.empty() || power < kUnits.size())) {
    const double scale = unit.empty() ? 1 : std::pow(1024.0, static_cast<double>(power + 1));
    options.bytes_max = static_cast<std::uint64_t>(number * scale);
  } else {
    throw Failure(Exit::Usage, "USAGE", "--read-data-subset must be like 2/5, 10% or 500M");
  }
}

}  // namespace recover::apps
