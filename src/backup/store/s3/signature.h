// AWS Signature Version 4 of one request (AWS General Reference, "Signing AWS API requests").
//
// Pure: time and keys are parameters. Not libcurl's own: that of Debian 12's version (7.88) neither
// sorts nor encodes the query as the standard wants it, so listing and multipart would be refused.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.h"

namespace recover::backup::s3 {

struct Credentials {
  std::string access_key;
  base::Secret secret_key;
  base::Secret session_token = {};  // Of temporary credentials; empty: none.
};

using Query = std::vector<std::pair<std::string, std::string>>;

struct SigningInput {
  std::string_view method;
  std::string_view path;  // Encoded as it is sent.
  Query query;            // Not encoded, in any order.
  // Names in lower case: all that are signed, "host" and the x-amz- ones among them.
  std::map<std::string, std::string> headers;
  std::string_view body_sha256;  // Hex, or UNSIGNED-PAYLOAD.
};

// The value of the Authorization header. `time`: "20130524T000000Z", as in x-amz-date.
std::string authorization(const Credentials& credentials, std::string_view region,
                          std::string_view time, const SigningInput& input);

// All but unreserved characters as %XX (RFC 3986, 2.3), '/' too unless kept.
std::string percent_encoded(std::string_view text, bool keep_slashes);
// As it is signed and sent: "a=1&b=", sorted; empty: nothing.
std::string query_text(const Query& query);

}  // namespace recover::backup::s3
