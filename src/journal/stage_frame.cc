#include "journal/stage_frame.h"

#include <type_traits>

namespace recover::journal {
namespace {

using ports::Entry;
using ports::EntryKind;

constexpr std::uint32_t kMagic = 0x31676372;  // "rcg1"
constexpr std::size_t kSizeAt = 4;
constexpr std::size_t kFirstAt = 8;
// Of an entry with empty texts: what keeps a wrong number of entries from asking for memory.
constexpr std::size_t kEntryBytesMin = 1 + 4 * 8 + 3 * 4;

template <class Number>
void put(std::string& out, Number value) {
  const auto bits = static_cast<std::make_unsigned_t<Number>>(value);
  for (unsigned shift = 0; shift < 8 * sizeof(Number); shift += 8) {
    out.push_back(static_cast<char>((bits >> shift) & 0xffU));
  }
}

void put_text(std::string& out, std::string_view text) {
  put(out, static_cast<std::uint32_t>(text.size()));
  out.append(text);
}

// Takes from the front; once something is missing everything is empty and `whole` false.
struct Reader {
  std::string_view rest;
  bool whole = true;

  std::string_view take(std::size_t size) {
    whole = whole && size <= rest.size();
    if (!whole) return {};
    const std::string_view taken = rest.substr(0, size);
    rest.remove_prefix(size);
    return taken;
  }
  template <class Number>
  Number number() {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const char byte : take(sizeof(Number))) {
      value |= std::uint64_t{static_cast<unsigned char>(byte)} << shift;
      shift += 8;
    }
    return static_cast<Number>(value);
  }
  std::string text() { return std::string(take(number<std::uint32_t>())); }
};

Entry read_entry(Reader& reader) {
  Entry entry;
  const auto kind = reader.number<std::uint8_t>();
  reader.whole = reader.whole && kind <= static_cast<std::uint8_t>(EntryKind::Snapshot);
  entry.kind = reader.whole ? static_cast<EntryKind>(kind) : EntryKind::Event;
  entry.wall_ns = reader.number<std::int64_t>();
  entry.at = Instant{Duration{reader.number<std::int64_t>()}};
  entry.incident = reader.number<std::uint64_t>();
  entry.recovery = reader.number<std::uint64_t>();
  entry.type = reader.text();
  entry.service = reader.text();
  entry.body = reader.text();
  return entry;
}

}  // namespace

Digest write_frame(std::string& out, Hasher& hasher, const Digest& previous, std::uint64_t first,
                   std::string_view payload) {
  out.clear();
  put(out, kMagic);
  put(out, static_cast<std::uint32_t>(payload.size()));
  put(out, first);
  out.append(payload);
  const Digest digest = hasher.next(previous, out);
  out.append(view_of(digest));
  return digest;
}

std::optional<std::uint64_t> frame_start(std::string_view text) {
  Reader reader{.rest = text};
  const auto magic = reader.number<std::uint32_t>();
  reader.take(kFirstAt - kSizeAt);
  const auto first = reader.number<std::uint64_t>();
  if (!reader.whole || magic != kMagic || first == 0) return std::nullopt;
  return first;
}

std::optional<Frame> read_frame(std::string_view text, Hasher& hasher, const Digest& previous) {
  const auto first = frame_start(text);
  if (!first) return std::nullopt;
  Reader reader{.rest = text.substr(kSizeAt)};
  const std::size_t payload = reader.number<std::uint32_t>();
  if (text.size() < kFrameHead + kDigestBytes ||
      payload > text.size() - kFrameHead - kDigestBytes) {
    return std::nullopt;
  }
  const Digest digest = hasher.next(previous, text.substr(0, kFrameHead + payload));
  if (text.substr(kFrameHead + payload, kDigestBytes) != view_of(digest)) return std::nullopt;
  return Frame{.first = *first,
               .payload = text.substr(kFrameHead, payload),
               .digest = digest,
               .bytes = kFrameHead + payload + kDigestBytes};
}

std::string encode_entries(std::span<const Entry> entries) {
  std::string out;
  put(out, static_cast<std::uint32_t>(entries.size()));
  for (const Entry& entry : entries) {
    put(out, static_cast<std::uint8_t>(entry.kind));
    put(out, entry.wall_ns);
    put(out, static_cast<std::int64_t>(entry.at.time_since_epoch().count()));
    put(out, entry.incident);
    put(out, entry.recovery);
    put_text(out, entry.type);
    put_text(out, entry.service);
    put_text(out, entry.body);
  }
  return out;
}

std::optional<std::vector<Entry>> decode_entries(std::string_view payload) {
  Reader reader{.rest = payload};
  const std::size_t count = reader.number<std::uint32_t>();
  if (count > reader.rest.size() / kEntryBytesMin) return std::nullopt;
  std::vector<Entry> entries;
  entries.reserve(count);
  for (std::size_t at = 0; at < count && reader.whole; ++at) entries.push_back(read_entry(reader));
  if (!reader.whole || !reader.rest.empty()) return std::nullopt;
  return entries;
}

}  // namespace recover::journal
