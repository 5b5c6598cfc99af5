#include "backup/format/index_scanner.h"

#include <charconv>

namespace recover::backup {

IndexScanner::IndexScanner(std::string_view text) : rest_(text) {
  broken_ = !take("{\"packs\":[");
}

bool IndexScanner::take(std::string_view wanted) {
  if (!rest_.starts_with(wanted)) return false;
  rest_.remove_prefix(wanted.size());
  return true;
}

// And the quotation mark after it.
bool IndexScanner::take_digest(Digest& to) {
  constexpr std::size_t kHexDigits = 2 * kDigestBytes;
  if (rest_.size() <= kHexDigits || rest_[kHexDigits] != '"') return false;
  const auto digest = parse_digest(rest_.substr(0, kHexDigits));
  if (!digest) return false;
  to = *digest;
  rest_.remove_prefix(kHexDigits + 1);
  return true;
}

bool IndexScanner::take_number(std::string_view key, std::uint32_t& to) {
  if (!take(key)) return false;
  const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), to);
  if (error != std::errc()) return false;
  rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
  return rest_.starts_with(',') || rest_.starts_with('}');
}

bool IndexScanner::take_blob(BlobEntry& blob) {
  if (!take("{\"id\":\"") || !take_digest(blob.id)) return false;
  if (take(",\"type\":\"tree\"")) {
    blob.type = BlobType::Tree;
  } else if (!take(",\"type\":\"data\"")) {
    return false;
  }
  if (!take_number(",\"offset\":", blob.offset) || !take_number(",\"length\":", blob.length)) {
    return false;
  }
  if (take("}")) return blob.length >= kSealOverhead;
  return take_number(",\"uncompressed_length\":", blob.uncompressed_length) && take("}") &&
         blob.length >= kSealOverhead;
}

std::optional<IndexedPack> IndexScanner::next() {
  if (broken_ || complete_) return std::nullopt;
  if (take("]}")) {
    complete_ = rest_.empty() || rest_ == "\n";
    broken_ = !complete_;
    return std::nullopt;
  }
  IndexedPack pack;
  bool good =
      (first_ || take(",")) && take("{\"id\":\"") && take_digest(pack.id) && take(",\"blobs\":[");
  first_ = false;
  do {
    good = good && take_blob(pack.blobs.emplace_back());
  } while (good && take(","));
  broken_ = !good || !take("]}");
  if (broken_) return std::nullopt;
  return pack;
}

}  // namespace recover::backup
