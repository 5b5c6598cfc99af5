#include "backup/store/s3/signature.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include <recover/check.h>

#include "backup/crypto/digest.h"

namespace recover::backup::s3 {
namespace {

using Mac = Digest;

Mac hmac(View key, std::string_view text) {
  Mac mac;
  unsigned length = 0;
  const View bytes = view_of(text);
  RECOVER_CHECK(::HMAC(::EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes.data(),
                       bytes.size(), mac.bytes.data(), &length) != nullptr);
  return mac;
}

std::string trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(' ');
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(' ') - first + 1));
}

}  // namespace

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  static constexpr std::string_view kDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const bool alphanumeric =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    const bool plain = alphanumeric || c == '-' || c == '.' || c == '_' || c == '~';
    if (plain || (keep_slashes && c == '/')) {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += '%';
      out += kDigits[byte >> 4U];
      out += kDigits[byte & 15U];
    }
  }
  return out;
}

std::string query_text(const Query& query) {
  Query encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) {
    encoded.emplace_back(percent_encoded(name, false), percent_encoded(value, false));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string text;
  for (const auto& [name, value] : encoded) {
    if (!text.empty()) text += '&';
    text += name;
    text += '=';
    text += value;
  }
  return text;
}

std::string authorization(const Credentials& credentials, std::string_view region,
                          std::string_view time, const SigningInput& input) {
  std::string names;
  std::string headers;
  for (const auto& [name, value] : input.headers) {
    names += (names.empty() ? "" : ";") + name;
    headers += name + ":" + trimmed(value) + "\n";
  }
  const std::string request = std::string(input.method) + "\n" + std::string(input.path) + "\n" +
                              query_text(input.query) + "\n" + headers + "\n" + names + "\n" +
                              std::string(input.body_sha256);
  const std::string day(time.substr(0, time.find('T')));
  const std::string scope = day + "/" + std::string(region) + "/s3/aws4_request";
  const std::string to_sign = "AWS4-HMAC-SHA256\n" + std::string(time) + "\n" + scope + "\n" +
                              hex(sha256(view_of(request)));
  const std::string secret = "AWS4" + credentials.secret_key.reveal();
  Mac key = hmac(view_of(secret), day);
  for (const std::string_view part :
       {region, std::string_view("s3"), std::string_view("aws4_request")}) {
    key = hmac(key.bytes, part);
  }
  return "AWS4-HMAC-SHA256 Credential=" + credentials.access_key + "/" + scope +
         ", SignedHeaders=" + names + ", Signature=" + hex(hmac(key.bytes, to_sign));
}

}  // namespace recover::backup::s3
