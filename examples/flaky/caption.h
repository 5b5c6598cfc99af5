// One sentence: what is happening, and which policy keeps the users from noticing.
#pragma once

#include <string_view>

#include "view.h"

namespace flaky {

std::string_view caption_of(const View& view) noexcept;

}  // namespace flaky
