// A native source as the job has it: {"postgres":{"dsn":…}}, the keys of the configuration.
#pragma once

#include <boost/json/object.hpp>

#include "core/backup_source.h"

namespace recover::apps {

// The first kind's object that is there; none: the source is none. Throws what is wrong with it.
core::NativeSource native_source_of(const boost::json::object& source);

}  // namespace recover::apps
