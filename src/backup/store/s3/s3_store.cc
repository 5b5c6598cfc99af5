#include "backup/store/s3/s3_store.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <limits>
#include <utility>

#include "backup/store/layout.h"
#include "backup/store/s3/answer.h"

namespace recover::backup::s3 {
namespace {

// A listing of a million packs is a thousand pages; this bounds a server that never says "last".
constexpr unsigned kPagesMax = 100'000;
constexpr std::uint64_t kListBytesMax = std::uint64_t{16} << 20U;
constexpr std::uint64_t kPartsMax = 10'000;
constexpr std::uint64_t kRefusalBytesMax = std::uint64_t{64} << 10U;

// "20130524T000000Z"
std::string time_now() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  std::tm parts{};
  ::gmtime_r(&now.tv_sec, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts)};
}

FailureKind kind_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
    case 405: return FailureKind::NotPermitted;
    case 404: return FailureKind::NotFound;
    case 408:
    case 429: return FailureKind::Unreachable;
    case 409:
    case 412: return FailureKind::Exists;
    case 413:
    case 507: return FailureKind::Full;
    case 416: return FailureKind::Damaged;
    case 501: return FailureKind::Unsupported;
    default: return status >= 500 ? FailureKind::Unreachable : FailureKind::Io;
  }
}

// Codes that say more than their status.
FailureKind kind_of_error(const ErrorAnswer& error, int status) {
  const std::string& code = error.code;
  if (code == "SlowDown" || code == "RequestTimeout" || code == "InternalError" ||
      code == "OperationAborted" || code == "ConditionalRequestConflict") {
    return FailureKind::Unreachable;
  }
  // The body is not what was signed: changed on the way.
  if (code == "BadDigest" || code == "XAmzContentSHA256Mismatch" || code == "IncompleteBody" ||
      status == 422) {
    return FailureKind::Unreachable;
  }
  if (code == "QuotaExceeded" || code == "XMinioStorageFull") return FailureKind::Full;
  return kind_of_status(status);
}

// What a person does about it.
std::string_view advice(const std::string& code) {
  if (code == "RequestTimeTooSkewed") return "; this machine's clock or the server's is wrong";
  if (code == "InvalidAccessKeyId") return "; AWS_ACCESS_KEY_ID is not one the server knows";
  if (code == "SignatureDoesNotMatch") return "; AWS_SECRET_ACCESS_KEY is not the one of that key";
  if (code == "NoSuchBucket") return "; `init` makes the bucket";
  return "";
}

}  // namespace

S3Store::S3Store(S3Options options)
    : options_(std::move(options)),
      bandwidth_(options_.bandwidth),
      client_(options_.http, bandwidth_),
      region_(options_.region) {}

std::string S3Store::key_of(std::string_view relative) const {
  const std::string& prefix = options_.location.prefix;
  return prefix.empty() ? std::string(relative) : prefix + "/" + std::string(relative);
}

std::string S3Store::region() {
  const std::lock_guard lock(mutex_);
  return region_;
}

bool S3Store::learn_region(const HttpAnswer& answer) {
  if (answer.status < 300 || answer.status > 403) return false;
  std::string right(answer.header("x-amz-bucket-region"));
  if (right.empty()) right = parse_error(text_of(answer.body)).region;
  const std::lock_guard lock(mutex_);
  if (right.empty() || right == region_) return false;
  region_ = right;
  return true;
}

Outcome<HttpAnswer> S3Store::send(const Call& call) {
  const Location& at = options_.location;
  const std::string path =
      "/" + percent_encoded(at.bucket + (call.key.empty() ? "" : "/" + call.key), true);
  const std::string time = time_now();
  SigningInput input{.method = call.method,
                     .path = path,
                     .query = call.query,
                     .headers = call.headers,
                     .body_sha256 = {}};
  const std::string hash = call.body_sha256.empty() ? hex(sha256(call.body)) : call.body_sha256;
  input.body_sha256 = hash;
  input.headers["host"] = at.authority;
  input.headers["x-amz-date"] = time;
  input.headers["x-amz-content-sha256"] = hash;
  if (const auto& token = options_.credentials.session_token; !token.empty()) {
    input.headers["x-amz-security-token"] = token.reveal();
  }
  HttpRequest request{.method = call.method,
                      .url = (at.tls ? "https://" : "http://") + at.authority + path,
                      .headers = {},
                      .body = call.body,
                      .answer_bytes_max = call.answer_bytes_max};
  if (!call.query.empty()) request.url += "?" + query_text(call.query);
  for (const auto& [name, value] : input.headers) request.headers.push_back(name + ": " + value);
  // Without keys: a bucket that is open to all.
  if (!options_.credentials.access_key.empty()) {
    request.headers.push_back("authorization: " +
                              authorization(options_.credentials, region(), time, input));
  }
  return client_.perform(request);
}

Outcome<HttpAnswer> S3Store::perform(const Call& call) {
  auto answer = send(call);
  if (answer && learn_region(*answer)) answer = send(call);
  if (!answer) {
    return fail(answer.error().kind,
                call.method + " " + location() + " " + call.key + ": " + answer.error().message);
  }
  if (answer->status < 200 || answer->status > 299) return failure_of(call, *answer);
  return answer;
}

Unexpected<Failure> S3Store::failure_of(const Call& call, const HttpAnswer& answer) const {
  const ErrorAnswer error = parse_error(text_of(answer.body));
  std::string message = call.method + " " + location() + " " + call.key + ": ";
  if (!error.code.empty()) message += error.code + ": " + error.message;
  message += (error.code.empty() ? "HTTP " : " (HTTP ") + std::to_string(answer.status) +
             (error.code.empty() ? "" : ")");
  message += advice(error.code);
  return fail(kind_of_error(error, answer.status), std::move(message));
}

Outcome<void> S3Store::make_bucket() {
  const std::string here = region();
  std::string wish;
  if (here != "us-east-1") {
    wish =
        "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
        "<LocationConstraint>" +
        here + "</LocationConstraint></CreateBucketConfiguration>";
  }
  const auto made = perform({.method = "PUT", .key = "", .body = view_of(wish)});
  // Somebody was quicker.
  if (made || made.error().kind == FailureKind::Exists) return {};
  return Unexpected(made.error());
}

Outcome<void> S3Store::prepare() {
  const auto bucket = perform({.method = "HEAD", .key = ""});
  if (bucket) return {};
  if (bucket.error().kind == FailureKind::NotFound) return make_bucket();
  return Unexpected(bucket.error());
}

Outcome<Bytes> S3Store::read(const FileName& name) {
  auto answer = perform({.method = "GET",
                         .key = key_of(relative_path(name)),
                         .answer_bytes_max = bytes_max(name.kind)});
  if (!answer) return Unexpected(std::move(answer.error()));
  return std::move(answer->body);
}

Outcome<Bytes> S3Store::read_part(const FileName& name, std::uint64_t offset,
                                  std::uint64_t length) {
  if (length == 0) {  // There is no empty range.
    const auto bytes = size(name);
    if (!bytes) return Unexpected(bytes.error());
    if (offset <= *bytes) return Bytes();
    return fail(FailureKind::Damaged, to_string(name) + ": it ends before the range");
  }
  if (length > std::numeric_limits<std::uint64_t>::max() - offset) {
    return fail(FailureKind::Damaged, to_string(name) + ": no file has such a range");
  }
  const std::string range =
      "bytes=" + std::to_string(offset) + "-" + std::to_string(offset + length - 1);
  // A refusal has words, too.
  const std::uint64_t bytes_most = std::max(length, kRefusalBytesMax);
  auto answer = perform({.method = "GET",
                         .key = key_of(relative_path(name)),
                         .headers = {{"range", range}},
                         .answer_bytes_max = bytes_most});
  if (!answer) return Unexpected(std::move(answer.error()));
  // A server that ignores ranges answers 200, with more than was asked for or by chance as much.
  if (answer->status != 206 && offset != 0) {
    return fail(FailureKind::Unsupported, location() + ": the server does not give ranges");
  }
  if (answer->body.size() != length) {
    return fail(FailureKind::Damaged, "reading " + location() + " " + to_string(name) + ": " +
                                          range + " is more than it has");
  }
  return std::move(answer->body);
}

Outcome<std::uint64_t> S3Store::size(const FileName& name) {
  const auto answer = perform({.method = "HEAD", .key = key_of(relative_path(name))});
  if (!answer) return Unexpected(answer.error());
  const std::string_view text = answer->header("content-length");
  std::uint64_t bytes = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') break;
    bytes = bytes * 10 + static_cast<std::uint64_t>(c - '0');
  }
  if (text.empty()) return fail(FailureKind::Io, location() + ": an answer without a length");
  return bytes;
}

Outcome<void> S3Store::write(const FileName& name, View bytes) {
  const std::string key = key_of(relative_path(name));
  const auto there = size(name);
  if (there) return fail(FailureKind::Exists, location() + " " + key + ": there is one already");
  if (there.error().kind != FailureKind::NotFound) return Unexpected(there.error());
  if (bytes.size() > options_.part_bytes) return put_parts(key, bytes);
  return put_whole(key, bytes);
}

Outcome<void> S3Store::put_whole(const std::string& key, View bytes) {
  Call call{.method = "PUT",
            .key = key,
            .headers = {{"content-type", "application/octet-stream"}},
            .body = bytes};
  const bool demands = knows_if_none_match_;
  if (demands) call.headers["if-none-match"] = "*";
  auto put = perform(call);
  if (!put && put.error().kind == FailureKind::Unsupported && demands) {
    knows_if_none_match_ = false;
    call.headers.erase("if-none-match");
    put = perform(call);
  }
  if (!put) return Unexpected(std::move(put.error()));
  return {};
}

Outcome<std::string> S3Store::send_parts(const std::string& key, const std::string& upload,
                                         View bytes) {
  const std::uint64_t part_bytes =
      std::max(options_.part_bytes, (bytes.size() + kPartsMax - 1) / kPartsMax);
  std::string parts = "<CompleteMultipartUpload>";
  for (unsigned number = 1; !bytes.empty(); ++number) {
    const View part = bytes.first(std::min<std::size_t>(bytes.size(), part_bytes));
    bytes = bytes.subspan(part.size());
    const std::string text = std::to_string(number);
    const auto sent = perform({.method = "PUT",
                               .key = key,
                               .query = {{"partNumber", text}, {"uploadId", upload}},
                               .body = part});
    if (!sent) return Unexpected(sent.error());
    parts += "<Part><PartNumber>" + text + "</PartNumber><ETag>" +
             std::string(sent->header("etag")) + "</ETag></Part>";
  }
  return parts + "</CompleteMultipartUpload>";
}

Outcome<void> S3Store::complete(const std::string& key, const std::string& upload,
                                const std::string& parts) {
  const auto done = perform({.method = "POST",
                             .key = key,
                             .query = {{"uploadId", upload}},
                             .headers = {{"content-type", "application/xml"}},
                             .body = view_of(parts)});
  if (!done) return Unexpected(done.error());
  // The status was sent before the work was done: a failure may still be in the body.
  if (const auto error = parse_error(text_of(done->body)); !error.code.empty()) {
    return fail(kind_of_error(error, 500),
                location() + " " + key + ": " + error.code + ": " + error.message);
  }
  return {};
}

Outcome<void> S3Store::put_parts(const std::string& key, View bytes) {
  const auto begun = perform({.method = "POST",
                              .key = key,
                              .query = {{"uploads", ""}},
                              .headers = {{"content-type", "application/octet-stream"}}});
  if (!begun) return Unexpected(begun.error());
  const auto upload = element(text_of(begun->body), "UploadId");
  if (!upload) return fail(FailureKind::Io, location() + ": a multipart upload without an id");
  const auto parts = send_parts(key, *upload, bytes);
  auto done = parts ? complete(key, *upload, *parts) : Outcome<void>(Unexpected(parts.error()));
  if (!done) {
    // Best effort: sweep() ends what stays.
    (void)perform({.method = "DELETE", .key = key, .query = {{"uploadId", *upload}}});
  }
  return done;
}

Outcome<void> S3Store::remove(const FileName& name) {
  // Of an object that is not there, S3 says it is removed.
  if (const auto there = size(name); !there) return Unexpected(there.error());
  const auto removed = perform({.method = "DELETE", .key = key_of(relative_path(name))});
  if (!removed) return Unexpected(removed.error());
  return {};
}

Outcome<void> S3Store::sweep() {
  const auto answer =
      perform({.method = "GET", .key = "", .query = {{"uploads", ""}, {"prefix", key_of("")}}});
  if (!answer) return Unexpected(answer.error());
  for (const Upload& upload : parse_uploads(text_of(answer->body))) {
    const std::string last = upload.key.substr(upload.key.rfind('/') + 1);
    const bool ours = upload.key.starts_with(key_of("")) && parse_digest(last);
    if (!ours) continue;
    const auto ended =
        perform({.method = "DELETE", .key = upload.key, .query = {{"uploadId", upload.id}}});
    if (!ended && ended.error().kind != FailureKind::NotFound) return Unexpected(ended.error());
  }
  return {};
}

Outcome<std::vector<StoredFile>> S3Store::list(FileKind kind) {
  std::vector<StoredFile> files;
  const std::string prefix = key_of(root_folder(kind)) + "/";
  Query query = {
      {"list-type", "2"}, {"max-keys", std::to_string(options_.page_keys)}, {"prefix", prefix}};
  for (unsigned pages = 0; pages < kPagesMax; ++pages) {
    const auto answer =
        perform({.method = "GET", .key = "", .query = query, .answer_bytes_max = kListBytesMax});
    if (!answer) return Unexpected(answer.error());
    const auto page = parse_list(text_of(answer->body));
    if (!page) return fail(FailureKind::Unreachable, location() + ": no list of objects came");
    for (const ListedObject& object : page->objects) {
      const auto id = parse_digest(object.key.substr(object.key.rfind('/') + 1));
      const bool ours = id && object.key == key_of(relative_path({.kind = kind, .id = *id}));
      if (ours) files.push_back({.id = *id, .bytes = object.bytes, .written = object.written});
    }
    if (!page->next) return files;
    query.resize(3);
    query.emplace_back("continuation-token", *page->next);
  }
  return fail(FailureKind::Io, location() + ": the list of objects has no end");
}

}  // namespace recover::backup::s3
