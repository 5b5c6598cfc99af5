// How numbers are written for people.
#pragma once

#include <string>

#include <recover/time.h>

namespace flaky {

std::string seconds(recover::Duration duration);        // "0.8 s"
std::string millis(recover::Duration duration);         // "23 ms", "40 µs"
std::string clock_time(recover::Duration since_start);  // "1:07.3"

}  // namespace flaky
