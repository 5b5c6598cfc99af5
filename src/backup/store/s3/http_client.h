// HTTP requests over a few connections that are kept and used again (libcurl).
//
// Decides nothing: no redirects, no retries, no words about what a status means. An answer is
// bounded by what its caller expects. The server's certificate is always checked.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include <recover/time.h>

#include "backup/crypto/bytes.h"
#include "backup/failure.h"
#include "backup/store/bandwidth.h"

namespace recover::backup::s3 {

struct HttpOptions {
  unsigned connections = 5;  // At a time, as restic.
  Duration connect_timeout = std::chrono::seconds(15);
  // Without a byte in either direction.
  Duration silence_timeout = std::chrono::seconds(60);
  std::string ca_file;  // PEM; empty: the system's.
};

struct HttpRequest {
  std::string method;
  std::string url;
  std::vector<std::string> headers;  // "name: value"
  View body = {};
  std::uint64_t answer_bytes_max = std::uint64_t{4} << 20U;
};

struct HttpAnswer {
  int status = 0;
  std::map<std::string, std::string> headers;  // Names in lower case.
  Bytes body;

  // Empty: there was none.
  std::string_view header(const std::string& name) const;
};

// Thread-safe. More calls than connections wait for one.
class HttpClient {
 public:
  explicit HttpClient(const HttpOptions& options, Bandwidth& bandwidth);
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  // Unreachable: no connection, or it broke off before the whole answer was there. NotPermitted:
  // the certificate is not to be trusted. Damaged: the answer is larger than expected.
  Outcome<HttpAnswer> perform(const HttpRequest& request);

 private:
  class Borrowed;
  void* borrow();
  void give_back(void* handle);

  HttpOptions options_;
  Bandwidth* bandwidth_;
  std::mutex mutex_;
  std::condition_variable free_;
  std::vector<void*> idle_;
  unsigned made_ = 0;
};

}  // namespace recover::backup::s3
