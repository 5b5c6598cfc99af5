#include "journal/cipher.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <memory>

#include <recover/check.h>

namespace recover::journal {
namespace {

using ports::EntryKind;
using ports::JournalError;
using ports::JournalFault;

constexpr int kNonceBytes = 12;
constexpr int kTagBytes = 16;

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

Digest hmac(std::string_view key, std::string_view text) {
  Digest digest{};
  unsigned int length = 0;
  RECOVER_CHECK(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), bytes_of(text),
                     text.size(), digest.data(), &length) != nullptr);
  return digest;
}

std::string associated(std::uint64_t sequence, EntryKind kind) {
  std::string data;
  for (unsigned shift = 64; shift > 0; shift -= 8) {
    data.push_back(static_cast<char>((sequence >> (shift - 8)) & 0xffU));
  }
  data.push_back(static_cast<char>(kind));
  return data;
}

JournalError crypto_error() {
  return {.message = "journal: the crypto library failed", .fault = JournalFault::Io};
}

}  // namespace

Result<Cipher, JournalError> Cipher::from(const base::Secret& key) {
  if (key.reveal().size() != kKeyBytes) {
    return Unexpected(JournalError{.message = "journal key: wants exactly 32 bytes, has " +
                                              std::to_string(key.reveal().size()),
                                   .fault = JournalFault::WrongKey});
  }
  Cipher cipher;
  cipher.body_key_ = hmac(key.reveal(), "recoverd journal body 1");
  cipher.sign_key_ = hmac(key.reveal(), "recoverd journal head 1");
  return cipher;
}

Result<std::string, JournalError> Cipher::seal(std::uint64_t sequence, EntryKind kind,
                                               std::string_view body) const {
  const Context context(EVP_CIPHER_CTX_new());
  const std::string aad = associated(sequence, kind);
  std::string out(static_cast<std::size_t>(kNonceBytes) + body.size() + kTagBytes, '\0');
  unsigned char* const nonce = bytes_of(out);
  unsigned char* const text = nonce + kNonceBytes;
  int length = 0;
  const bool done =
      context && RAND_bytes(nonce, kNonceBytes) == 1 &&
      EVP_EncryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, body_key_.data(), nonce) == 1 &&
      EVP_EncryptUpdate(context.get(), nullptr, &length, bytes_of(aad),
                        static_cast<int>(aad.size())) == 1 &&
      EVP_EncryptUpdate(context.get(), text, &length, bytes_of(body),
                        static_cast<int>(body.size())) == 1 &&
      EVP_EncryptFinal_ex(context.get(), text + length, &length) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, kTagBytes, text + body.size()) == 1;
  if (!done) return Unexpected(crypto_error());
  return out;
}

Result<std::string, JournalError> Cipher::open(std::uint64_t sequence, EntryKind kind,
                                               std::string_view sealed) const {
  const JournalError refused{.message = "journal: entry " + std::to_string(sequence) +
                                        " cannot be decrypted: another key, or a changed entry",
                             .fault = JournalFault::WrongKey};
  if (sealed.size() < static_cast<std::size_t>(kNonceBytes + kTagBytes)) {
    return Unexpected(refused);
  }
  const std::string_view nonce = sealed.substr(0, kNonceBytes);
  const std::string_view text = sealed.substr(kNonceBytes, sealed.size() - kNonceBytes - kTagBytes);
  std::string tag(sealed.substr(sealed.size() - kTagBytes));
  const Context context(EVP_CIPHER_CTX_new());
  const std::string aad = associated(sequence, kind);
  std::string out(text.size() + kTagBytes, '\0');
  int length = 0;
  const bool ready =
      context &&
      EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, body_key_.data(),
                         bytes_of(nonce)) == 1 &&
      EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_SET_TAG, kTagBytes, tag.data()) == 1;
  if (!ready) return Unexpected(crypto_error());
  const bool genuine = EVP_DecryptUpdate(context.get(), nullptr, &length, bytes_of(aad),
                                         static_cast<int>(aad.size())) == 1 &&
                       EVP_DecryptUpdate(context.get(), bytes_of(out), &length, bytes_of(text),
                                         static_cast<int>(text.size())) == 1 &&
                       EVP_DecryptFinal_ex(context.get(), bytes_of(out) + length, &length) == 1;
  if (!genuine) return Unexpected(refused);
  out.resize(text.size());
  return out;
}

Digest Cipher::sign(std::string_view text) const {
  return hmac(std::string(sign_key_.begin(), sign_key_.end()), text);
}

}  // namespace recover::journal
