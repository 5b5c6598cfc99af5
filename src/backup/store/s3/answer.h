// The XML answers of an object store, as far as we need them. What is cut off or not XML is told
// as such; unknown elements are passed over.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::backup::s3 {

struct ListedObject {
  std::string key;
  std::uint64_t bytes = 0;
  std::optional<std::int64_t> written = {};  // Seconds since 1970 UTC.
};

// One page of ListObjectsV2.
struct ListPage {
  std::vector<ListedObject> objects;
  std::optional<std::string> next;  // The token for the next page; none: this is the last.
};
// None: it is no such answer.
std::optional<ListPage> parse_list(std::string_view xml);

struct Upload {
  std::string key;
  std::string id;
};
// Of ListMultipartUploads.
std::vector<Upload> parse_uploads(std::string_view xml);

struct ErrorAnswer {
  std::string code;     // "NoSuchKey"; empty: there was none.
  std::string message;  // For people.
  std::string region;   // The right one, when ours was wrong.
};
ErrorAnswer parse_error(std::string_view xml);

// The text of the first such element, entities resolved. None: there is none.
std::optional<std::string> element(std::string_view xml, std::string_view name);

}  // namespace recover::backup::s3
