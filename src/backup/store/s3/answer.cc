#include "backup/store/s3/answer.h"

#include <charconv>
#include <utility>

#include "backup/format/go_text.h"

namespace recover::backup::s3 {
namespace {

void append_utf8(std::string& out, unsigned code) {
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xc0U | (code >> 6U));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  } else if (code < 0x10000) {
    out += static_cast<char>(0xe0U | (code >> 12U));
    out += static_cast<char>(0x80U | ((code >> 6U) & 0x3fU));
    out += static_cast<char>(0x80U | (code & 0x3fU));
  }
}

// "&#x27;", "&#39;": appended; false when it is none.
bool append_numbered(std::string& out, std::string_view entity) {
  if (!entity.starts_with("#")) return false;
  entity.remove_prefix(1);
  const int base = entity.starts_with("x") ? 16 : 10;
  if (base == 16) entity.remove_prefix(1);
  unsigned code = 0;
  const auto end = entity.data() + entity.size();
  if (std::from_chars(entity.data(), end, code, base).ptr != end || entity.empty()) return false;
  append_utf8(out, code);
  return true;
}

std::string resolved(std::string_view text) {
  static constexpr std::pair<std::string_view, char> kNamed[] = {
      {"amp", '&'}, {"lt", '<'}, {"gt", '>'}, {"quot", '"'}, {"apos", '\''}};
  std::string out;
  while (!text.empty()) {
    const std::size_t end = text.find(';');
    if (text.front() != '&' || end == std::string_view::npos) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::string_view entity = text.substr(1, end - 1);
    bool known = append_numbered(out, entity);
    for (const auto& [name, c] : kNamed) {
      if (name != entity) continue;
      out += c;
      known = true;
    }
    if (!known) out += text.substr(0, end + 1);
    text.remove_prefix(end + 1);
  }
  return out;
}

struct Found {
  std::string_view inside;
  std::size_t end = 0;  // Just behind the element.
};

// The next element of that name; elements of one name are never inside each other here.
std::optional<Found> find_element(std::string_view xml, std::string_view name, std::size_t from) {
  const std::string open = "<" + std::string(name);
  const std::string close = "</" + std::string(name) + ">";
  for (std::size_t at = xml.find(open, from); at != std::string_view::npos;
       at = xml.find(open, at + 1)) {
    const std::size_t behind = at + open.size();
    const std::size_t end = xml.find('>', behind);
    if (end == std::string_view::npos) return std::nullopt;
    const char next = xml[behind];
    if (next != '>' && next != ' ' && next != '/') continue;  // A longer name.
    if (xml[end - 1] == '/') return Found{.inside = {}, .end = end + 1};
    const std::size_t last = xml.find(close, end);
    if (last == std::string_view::npos) return std::nullopt;
    return Found{.inside = xml.substr(end + 1, last - end - 1), .end = last + close.size()};
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end) return std::nullopt;
  return value;
}

}  // namespace

std::optional<std::string> element(std::string_view xml, std::string_view name) {
  const auto found = find_element(xml, name, 0);
  if (!found) return std::nullopt;
  return resolved(found->inside);
}

std::optional<ListPage> parse_list(std::string_view xml) {
  const auto list = find_element(xml, "ListBucketResult", 0);
  if (!list) return std::nullopt;
  const auto truncated = element(list->inside, "IsTruncated");
  if (!truncated) return std::nullopt;
  ListPage page;
  std::size_t at = 0;
  while (const auto object = find_element(list->inside, "Contents", at)) {
    at = object->end;
    const auto key = element(object->inside, "Key");
    const auto size = element(object->inside, "Size");
    const auto bytes = size ? number(*size) : std::nullopt;
    if (!key || !bytes) return std::nullopt;
    const auto written = element(object->inside, "LastModified");
    const auto time = written ? parse_time(*written) : std::nullopt;
    page.objects.push_back({.key = *key,
                            .bytes = *bytes,
                            .written = time ? std::optional(time->seconds) : std::nullopt});
  }
  if (*truncated == "true") {
    page.next = element(list->inside, "NextContinuationToken");
    if (!page.next) return std::nullopt;
  }
  return page;
}

std::vector<Upload> parse_uploads(std::string_view xml) {
  std::vector<Upload> uploads;
  std::size_t at = 0;
  while (const auto upload = find_element(xml, "Upload", at)) {
    at = upload->end;
    const auto key = element(upload->inside, "Key");
    const auto id = element(upload->inside, "UploadId");
    if (key && id) uploads.push_back({.key = *key, .id = *id});
  }
  return uploads;
}

ErrorAnswer parse_error(std::string_view xml) {
  const auto error = find_element(xml, "Error", 0);
  if (!error) return {};
  const auto text = [&](std::string_view name) {
    return element(error->inside, name).value_or(std::string());
  };
  return {.code = text("Code"), .message = text("Message"), .region = text("Region")};
}

}  // namespace recover::backup::s3
