// Index files: the text of pack.h's entries.
#include <boost/json/basic_parser_impl.hpp>

#include <exception>
#include <limits>
#include <optional>
#include <utility>

#include "backup/format/go_text.h"
#include "backup/format/index_scanner.h"
#include "backup/format/pack.h"

namespace recover::backup {
namespace {

namespace json = boost::json;

enum class IndexPlace : std::uint8_t { Outside, Root, Packs, Pack, Blobs, Blob, Skipped };
enum class IndexField : std::uint8_t {
  None,
  Packs,
  PackId,
  Blobs,
  Id,
  Type,
  Offset,
  Length,
  Uncompressed
};

IndexField field_of(IndexPlace place, std::string_view key) {
  if (place == IndexPlace::Root && key == "packs") return IndexField::Packs;
  if (place == IndexPlace::Pack && key == "id") return IndexField::PackId;
  if (place == IndexPlace::Pack && key == "blobs") return IndexField::Blobs;
  if (place != IndexPlace::Blob) return IndexField::None;
  if (key == "id") return IndexField::Id;
  if (key == "type") return IndexField::Type;
  if (key == "offset") return IndexField::Offset;
  if (key == "length") return IndexField::Length;
  if (key == "uncompressed_length") return IndexField::Uncompressed;
  return IndexField::None;
}

class IndexHandler {
 public:
  static constexpr std::size_t max_object_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_key_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_string_size = std::numeric_limits<std::size_t>::max();

  explicit IndexHandler(const std::function<Outcome<void>(IndexedPack&&)>& use) : use_(use) {}

  std::optional<Failure> failure;
  std::exception_ptr thrown;
  bool complete = false;

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code&) {
    return enter(place_ == IndexPlace::Outside ? IndexPlace::Root
                 : place_ == IndexPlace::Packs ? IndexPlace::Pack
                 : place_ == IndexPlace::Blobs ? IndexPlace::Blob
                                               : IndexPlace::Skipped);
  }
  bool on_object_end(std::size_t, json::error_code&) {
    if (place_ == IndexPlace::Blob && !finish_blob()) return false;
    if (place_ == IndexPlace::Pack && !finish_pack()) return false;
    if (place_ == IndexPlace::Root) complete = true;
    return leave();
  }
  bool on_array_begin(json::error_code&) {
    return enter(field_ == IndexField::Packs && place_ == IndexPlace::Root   ? IndexPlace::Packs
                 : field_ == IndexField::Blobs && place_ == IndexPlace::Pack ? IndexPlace::Blobs
                                                                             : IndexPlace::Skipped);
  }
  bool on_array_end(std::size_t, json::error_code&) { return leave(); }
  bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return add(part); }
  bool on_key(json::string_view part, std::size_t, json::error_code&) {
    add(part);
    field_ = field_of(place_, text_);
    text_.clear();
    return true;
  }
  bool on_string_part(json::string_view part, std::size_t, json::error_code&) { return add(part); }
  bool on_string(json::string_view part, std::size_t, json::error_code&) {
    add(part);
    const bool good = take_text();
    text_.clear();
    return good;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_uint64(std::uint64_t value, json::string_view, json::error_code&) {
    return take_number(value);
  }
  bool on_int64(std::int64_t value, json::string_view, json::error_code&) {
    return take_number(static_cast<std::uint64_t>(value));
  }
  bool on_double(double, json::string_view, json::error_code&) {
    return place_ != IndexPlace::Blob || field_ == IndexField::None ||
           damaged("a number is not whole");
  }
  bool on_bool(bool, json::error_code&) { return true; }
  bool on_null(json::error_code&) { return true; }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  bool add(json::string_view part) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool enter(IndexPlace inner) {
    above_.push_back(place_);
    place_ = inner;
    if (inner == IndexPlace::Pack) pack_ = {}, pack_id_.reset();
    if (inner == IndexPlace::Blob) blob_ = {}, blob_id_.reset(), typed_ = false;
    return true;
  }
  bool leave() {
    place_ = above_.back();
    above_.pop_back();
    return true;
  }
  bool damaged(const std::string& what) {
    failure = Failure{.kind = FailureKind::Damaged, .message = "index: " + what};
    return false;
  }
  bool take_text() {
    if (place_ == IndexPlace::Pack && field_ == IndexField::PackId) pack_id_ = parse_digest(text_);
    if (place_ != IndexPlace::Blob) return true;
    if (field_ == IndexField::Id) blob_id_ = parse_digest(text_);
    if (field_ != IndexField::Type) return true;
    typed_ = text_ == "data" || text_ == "tree";
    blob_.type = text_ == "tree" ? BlobType::Tree : BlobType::Data;
    return true;
  }
  bool take_number(std::uint64_t value) {
    if (place_ != IndexPlace::Blob || field_ == IndexField::None) return true;
    const auto narrow = static_cast<std::uint32_t>(value);
    if (narrow != value) return damaged("a blob lies beyond 4 GiB");
    if (field_ == IndexField::Offset) blob_.offset = narrow;
    if (field_ == IndexField::Length) blob_.length = narrow;
    if (field_ == IndexField::Uncompressed) blob_.uncompressed_length = narrow;
    return true;
  }
  bool finish_blob() {
    if (!blob_id_ || !typed_ || blob_.length < kSealOverhead) {
      return damaged("a blob without ID, type or length");
    }
    blob_.id = *blob_id_;
    pack_.blobs.push_back(blob_);
    return true;
  }
  bool finish_pack() {
    if (!pack_id_) return damaged("a pack without ID");
    pack_.id = *pack_id_;
    try {
      auto used = use_(std::move(pack_));
      if (used) return true;
      failure = std::move(used.error());
    } catch (...) {
      thrown = std::current_exception();
    }
    return false;
  }

  const std::function<Outcome<void>(IndexedPack&&)>& use_;
  std::vector<IndexPlace> above_;
  IndexPlace place_ = IndexPlace::Outside;
  IndexField field_ = IndexField::None;
  std::string text_;
  IndexedPack pack_;
  BlobEntry blob_;
  std::optional<Digest> pack_id_;
  std::optional<Digest> blob_id_;
  bool typed_ = false;
};

void append_blob(std::string& out, const BlobEntry& blob) {
  out += "{\"id\":\"";
  out += hex(blob.id);
  out += blob.type == BlobType::Tree ? "\",\"type\":\"tree\"" : "\",\"type\":\"data\"";
  out += ",\"offset\":";
  append_number(out, blob.offset);
  out += ",\"length\":";
  append_number(out, blob.length);
  if (blob.is_compressed()) {
    out += ",\"uncompressed_length\":";
    append_number(out, blob.uncompressed_length);
  }
  out += '}';
}

}  // namespace

void IndexText::add(const IndexedPack& pack) {
  if (text_.back() != '[') text_ += ',';  // Also after a pack without blobs: foreign ones occur.
  text_ += "{\"id\":\"" + hex(pack.id) + "\",\"blobs\":[";
  for (std::size_t i = 0; i < pack.blobs.size(); ++i) {
    if (i != 0) text_ += ',';
    append_blob(text_, pack.blobs[i]);
  }
  text_ += "]}";
  blobs_ += pack.blobs.size();
}

std::string IndexText::finish() {
  text_ += "]}\n";
  std::string whole = std::move(text_);
  *this = IndexText();
  return whole;
}

Outcome<void> read_index(std::string_view text,
                         const std::function<Outcome<void>(IndexedPack&&)>& use) {
  IndexScanner scanner(text);
  std::size_t used = 0;
  while (auto pack = scanner.next()) {
    if (auto done = use(std::move(*pack)); !done) return done;
    ++used;
  }
  if (scanner.is_complete()) return {};
  std::size_t seen = 0;
  const std::function<Outcome<void>(IndexedPack &&)> use_rest =
      [&](IndexedPack&& pack) -> Outcome<void> {
    return ++seen <= used ? Outcome<void>() : use(std::move(pack));
  };
  json::basic_parser<IndexHandler> parser(json::parse_options(), use_rest);
  json::error_code error;
  parser.write_some(false, text.data(), text.size(), error);
  IndexHandler& handler = parser.handler();
  if (handler.thrown) std::rethrow_exception(handler.thrown);
  if (handler.failure) return Unexpected(std::move(*handler.failure));
  if (error) return fail(FailureKind::Damaged, "index: " + error.message());
  if (!handler.complete) return fail(FailureKind::Damaged, "index: it is no JSON object");
  return {};
}

}  // namespace recover::backup
