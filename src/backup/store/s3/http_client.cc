#include "backup/store/s3/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>

#include <recover/check.h>

namespace recover::backup::s3 {
namespace {

using std::chrono::milliseconds;

struct FreeList {
  void operator()(curl_slist* list) const { ::curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

// What libcurl's callbacks work on, for one request.
struct Transfer {
  const HttpRequest* request = nullptr;
  HttpAnswer answer;
  Bandwidth* bandwidth = nullptr;
  std::size_t sent = 0;
  bool too_large = false;
};

std::size_t send_more(char* room, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const View rest = transfer.request->body.subspan(transfer.sent);
  const std::size_t length = std::min(rest.size(), size * count);
  transfer.bandwidth->upload(length);
  if (length > 0) std::memcpy(room, rest.data(), length);
  transfer.sent += length;
  return length;
}

// A kept connection that turned out to be closed: the body goes again from its beginning.
int send_again(void* self, curl_off_t offset, int origin) {
  auto& transfer = *static_cast<Transfer*>(self);
  if (origin != SEEK_SET || offset < 0) return CURL_SEEKFUNC_FAIL;
  if (static_cast<std::uint64_t>(offset) > transfer.request->body.size()) return CURL_SEEKFUNC_FAIL;
  transfer.sent = static_cast<std::size_t>(offset);
  return CURL_SEEKFUNC_OK;
}

std::size_t receive(char* bytes, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::size_t length = size * count;
  transfer.too_large = transfer.answer.body.size() + length > transfer.request->answer_bytes_max;
  if (transfer.too_large) return 0;
  transfer.bandwidth->download(length);
  append(transfer.answer.body, view_of({bytes, length}));
  return length;
}

std::size_t receive_header(char* bytes, std::size_t size, std::size_t count, void* self) {
  auto& transfer = *static_cast<Transfer*>(self);
  const std::string_view line(bytes, size * count);
  if (line.starts_with("HTTP/")) transfer.answer.headers.clear();  // After a "100 Continue".
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return line.size();
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  constexpr std::string_view kSpace = " \t\r\n";
  const std::string_view value = line.substr(colon + 1);
  const std::size_t first = value.find_first_not_of(kSpace);
  transfer.answer.headers[name] =
      first == std::string_view::npos
          ? std::string()
          : std::string(value.substr(first, value.find_last_not_of(kSpace) - first + 1));
  return line.size();
}

HeaderList header_list(const HttpRequest& request) {
  HeaderList list;
  const auto add = [&](const char* line) {
    curl_slist* const longer = ::curl_slist_append(list.get(), line);
    RECOVER_CHECK(longer != nullptr);
    (void)list.release();
    list.reset(longer);
  };
  for (const std::string& line : request.headers) add(line.c_str());
  // Nothing of libcurl's own: what is not signed has no meaning, and "Expect" costs a second where
  // a server does not know it.
  for (const char* const line : {"Expect:", "Transfer-Encoding:", "Accept:"}) add(line);
  return list;
}

void set_timeouts(CURL* curl, const HttpOptions& options) {
  const auto connect = std::chrono::ceil<milliseconds>(options.connect_timeout).count();
  const auto silence = std::chrono::ceil<std::chrono::seconds>(options.silence_timeout).count();
  ::curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(connect));
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  ::curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(silence));
  ::curl_easy_setopt(curl, CURLOPT_TCP_KEEPALIVE, 1L);
  ::curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
}

void set_request(CURL* curl, Transfer& transfer, const HeaderList& headers) {
  const HttpRequest& request = *transfer.request;
  ::curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  ::curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  ::curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  ::curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  ::curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  ::curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (request.method == "HEAD") ::curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
  if (request.method == "PUT" || request.method == "POST") {
    ::curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
    ::curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE,
                       static_cast<curl_off_t>(request.body.size()));
    ::curl_easy_setopt(curl, CURLOPT_READFUNCTION, send_more);
    ::curl_easy_setopt(curl, CURLOPT_READDATA, &transfer);
    ::curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, send_again);
    ::curl_easy_setopt(curl, CURLOPT_SEEKDATA, &transfer);
  }
  ::curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
  ::curl_easy_setopt(curl, CURLOPT_WRITEDATA, &transfer);
  ::curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, receive_header);
  ::curl_easy_setopt(curl, CURLOPT_HEADERDATA, &transfer);
}

FailureKind kind_of_code(CURLcode code) {
  // Those that another try cannot help; all others are the network's.
  switch (static_cast<int>(code)) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_ISSUER_ERROR: return FailureKind::NotPermitted;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT: return FailureKind::Invalid;
    default: return FailureKind::Unreachable;
  }
}

}  // namespace

std::string_view HttpAnswer::header(const std::string& name) const {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

// A connection in use.
class HttpClient::Borrowed {
 public:
  explicit Borrowed(HttpClient& owner) : owner_(owner), handle_(owner.borrow()) {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;
  ~Borrowed() { owner_.give_back(handle_); }

  CURL* get() const noexcept { return handle_; }

 private:
  HttpClient& owner_;
  CURL* handle_;
};

HttpClient::HttpClient(const HttpOptions& options, Bandwidth& bandwidth)
    : options_(options), bandwidth_(&bandwidth) {
  RECOVER_CHECK(options.connections > 0);
  static std::once_flag once;
  std::call_once(once, [] { RECOVER_CHECK(::curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
}

HttpClient::~HttpClient() {
  for (void* const handle : idle_) ::curl_easy_cleanup(handle);
}

void* HttpClient::borrow() {
  std::unique_lock lock(mutex_);
  free_.wait(lock, [&] { return !idle_.empty() || made_ < options_.connections; });
  if (idle_.empty()) {
    ++made_;
    CURL* const handle = ::curl_easy_init();
    RECOVER_CHECK(handle != nullptr);
    return handle;
  }
  void* const handle = idle_.back();
  idle_.pop_back();
  return handle;
}

void HttpClient::give_back(void* handle) {
  ::curl_easy_reset(handle);  // Options only: the connection stays.
  {
    const std::lock_guard lock(mutex_);
    idle_.push_back(handle);
  }
  free_.notify_one();
}

Outcome<HttpAnswer> HttpClient::perform(const HttpRequest& request) {
  Transfer transfer{.request = &request, .answer = {}, .bandwidth = bandwidth_};
  const HeaderList headers = header_list(request);
  const Borrowed connection(*this);
  CURL* const curl = connection.get();
  std::array<char, CURL_ERROR_SIZE> words{};
  set_timeouts(curl, options_);
  set_request(curl, transfer, headers);
  ::curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, words.data());
  if (!options_.ca_file.empty()) {
    ::curl_easy_setopt(curl, CURLOPT_CAINFO, options_.ca_file.c_str());
  }
  const CURLcode code = ::curl_easy_perform(curl);
  if (transfer.too_large) {
    return fail(FailureKind::Damaged, "the answer is larger than what was asked for");
  }
  if (code != CURLE_OK) {
    return fail(kind_of_code(code),
                words.front() != '\0' ? words.data() : ::curl_easy_strerror(code));
  }
  long status = 0;
  ::curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  transfer.answer.status = static_cast<int>(status);
  return std::move(transfer.answer);
}

}  // namespace recover::backup::s3
