// A repository in a bucket of an object store that speaks S3, laid out as restic does.
//
// An object appears whole or not at all: PUT and the end of a multipart upload are atomic, and each
// body is signed with its hash, so that a server refuses what was changed on the way. That there is
// none of the name yet is asked before, and demanded of servers that know how (If-None-Match).
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "backup/store/s3/http_client.h"
#include "backup/store/s3/location.h"
#include "backup/store/s3/signature.h"
#include "backup/store/store.h"

namespace recover::backup::s3 {

struct S3Options {
  Location location;
  Credentials credentials;
  std::string region = "us-east-1";  // Corrected by what the server says.
  HttpOptions http = {};
  BandwidthLimits bandwidth = {};
  // Larger files go in parts of this size; at least 5 MiB. restic's bound is 200 MiB.
  std::uint64_t part_bytes = std::uint64_t{128} << 20U;
  unsigned page_keys = 1000;  // Of one answer to a listing; S3 gives no more.
};

// Thread-safe. Makes each call once: SteadyStore around it makes it again.
class S3Store final : public Store {
 public:
  explicit S3Store(S3Options options);

  std::string location() const override { return options_.location.text(); }
  // Makes the bucket when there is none.
  Outcome<void> prepare() override;
  Outcome<Bytes> read(const FileName& name) override;
  Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                           std::uint64_t length) override;
  Outcome<std::uint64_t> size(const FileName& name) override;
  Outcome<void> write(const FileName& name, View bytes) override;
  Outcome<void> remove(const FileName& name) override;
  // Ends the multipart uploads that nobody finished.
  Outcome<void> sweep() override;
  Outcome<std::vector<StoredFile>> list(FileKind kind) override;

 private:
  struct Call {
    std::string method;
    std::string key;  // Below the bucket; empty: the bucket itself.
    Query query = {};
    std::map<std::string, std::string> headers = {};
    View body = {};
    std::string body_sha256 = {};  // Hex; empty: it is computed.
    std::uint64_t answer_bytes_max = std::uint64_t{4} << 20U;
  };

  // 2xx, or a failure that says what was tried.
  Outcome<HttpAnswer> perform(const Call& call);
  // Signed and sent once.
  Outcome<HttpAnswer> send(const Call& call);
  bool learn_region(const HttpAnswer& answer);
  std::string region();
  Unexpected<Failure> failure_of(const Call& call, const HttpAnswer& answer) const;

  Outcome<void> put_whole(const std::string& key, View bytes);
  Outcome<void> put_parts(const std::string& key, View bytes);
  // The list of parts for the end of an upload.
  Outcome<std::string> send_parts(const std::string& key, const std::string& upload, View bytes);
  Outcome<void> complete(const std::string& key, const std::string& upload,
                         const std::string& parts);
  Outcome<void> make_bucket();

  std::string key_of(std::string_view relative) const;

  S3Options options_;
  Bandwidth bandwidth_;
  HttpClient client_;
  std::atomic<bool> knows_if_none_match_{true};
  std::mutex mutex_;
  std::string region_;
};

}  // namespace recover::backup::s3
