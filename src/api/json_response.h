// A JSON value as an answer.
#pragma once

#include <boost/json/fwd.hpp>

#include "api/request.h"

namespace recover::api {

Response json_response(const boost::json::object& body, unsigned status = 200);

inline constexpr unsigned kAccepted = 202;
inline constexpr unsigned kBadRequest = 400;
inline constexpr unsigned kNotFound = 404;
inline constexpr unsigned kConflict = 409;

}  // namespace recover::api
