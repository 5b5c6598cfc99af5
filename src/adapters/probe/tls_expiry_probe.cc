// How long the certificates that a server shows are still good, the chain it sends included.
//
// Whether they are trusted is not asked: an `http` probe of an https URL does that. The wall clock
// is what counts here, as it is for every client of that server.
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <openssl/pem.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>

#include "adapters/probe/runners.h"
#include "clients/http_exchange.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using core::FailureClass;
using core::Symptom;
using std::chrono::seconds;

// Of one certificate, from now; negative: over. None: its dates cannot be read.
struct Validity {
  seconds since{};  // Negative: it is not valid yet.
  seconds left{};
  std::string subject;
};

std::optional<seconds> between(const ASN1_TIME* from, const ASN1_TIME* to) {
  int days = 0;
  int rest = 0;
  if (::ASN1_TIME_diff(&days, &rest, from, to) != 1) return std::nullopt;
  return std::chrono::days(days) + seconds(rest);
}

// A null time is now.
std::optional<Validity> validity_of(const X509* certificate) {
  const auto since = between(::X509_get0_notBefore(certificate), nullptr);
  const auto left = between(nullptr, ::X509_get0_notAfter(certificate));
  if (!since || !left) return std::nullopt;
  std::array<char, 256> subject{};
  ::X509_NAME_oneline(::X509_get_subject_name(certificate), subject.data(),
                      static_cast<int>(subject.size()));
  return Validity{.since = *since, .left = *left, .subject = subject.data()};
}

std::string text_of(seconds span) {
  const auto hours = std::chrono::duration_cast<std::chrono::hours>(span).count();
  constexpr int kHoursADay = 24;
  return hours >= 2 * kHoursADay ? std::to_string(hours / kHoursADay) + " days"
                                 : std::to_string(hours) + " hours";
}

// A service that is restarted has the same certificate: the class asks for a renewal.
Finding expired(std::string detail) {
  return failed(Symptom::ProbeFailed, FailureClass::Authentication, std::move(detail));
}

Finding judge(const core::TlsExpiryProbe& probe, const STACK_OF(X509) * chain) {
  std::optional<Validity> first;  // To end.
  for (int index = 0; index < sk_X509_num(chain); ++index) {
    const auto validity = validity_of(sk_X509_value(chain, index));
    if (!validity) return wrong("a certificate without readable dates");
    if (validity->since < seconds::zero()) {
      return expired(validity->subject + " is not valid yet, for " + text_of(-validity->since));
    }
    if (!first || validity->left < first->left) first = validity;
  }
  if (!first) return wrong("no certificate");
  if (first->left <= seconds::zero()) {
    return expired(first->subject + " expired " + text_of(-first->left) + " ago");
  }
  std::string detail = first->subject + " expires in " + text_of(first->left);
  return first->left < probe.min_left ? expired(std::move(detail)) : passed(std::move(detail));
}

class TlsAttempt : public std::enable_shared_from_this<TlsAttempt> {
 public:
  TlsAttempt(const Tools& tools, const core::TlsExpiryProbe& probe, asio::ssl::context& tls,
             Found found)
      : probe_(probe),
        where_(probe.host + ":" + std::to_string(probe.port)),
        found_(std::move(found)),
        resolver_(tools.loop),
        stream_(tools.loop, tls) {
    stream_.set_verify_mode(asio::ssl::verify_none);
    const std::string& name = probe_.server_name.empty() ? probe_.host : probe_.server_name;
    error_code no_address;
    asio::ip::make_address(name, no_address);
    // An address is no name to ask for (RFC 6066, section 3).
    if (no_address) SSL_set_tlsext_host_name(stream_.native_handle(), name.c_str());
  }

  void start() {
    resolver_.async_resolve(
        probe_.host, std::to_string(probe_.port),
        [self = shared_from_this()](error_code error, const tcp::resolver::results_type& to) {
          if (!self->found_) return;  // Abandoned: open nothing more.
          if (error) return self->fail(error);
          asio::async_connect(self->stream_.next_layer(), to,
                              [self](error_code result, const tcp::endpoint&) {
                                if (result || !self->found_) return self->fail(result);
                                self->shake_hands();
                              });
        });
  }
  void abandon() {
    found_ = nullptr;
    close();
  }

 private:
  void shake_hands() {
    stream_.async_handshake(
        asio::ssl::stream_base::client, [self = shared_from_this()](error_code error) {
          // A server that wants a certificate of ours has shown its own by then.
          const STACK_OF(X509)* chain = ::SSL_get_peer_cert_chain(self->stream_.native_handle());
          if (chain == nullptr || sk_X509_num(chain) == 0) return self->fail(error);
          self->finish(judge(self->probe_, chain));
        });
  }
  void fail(error_code error) {
    if (error.category() == boost::system::system_category() && error) {
      return finish(of_errno(error.value(), where_));
    }
    const std::string why = error ? error.message() : "no certificate shown";
    finish(failed(Symptom::ProbeFailed, FailureClass::Connection, where_ + ": " + why));
  }
  void finish(Finding finding) {
    const Found done = std::exchange(found_, nullptr);
    close();
    if (done) done(std::move(finding));
  }
  void close() {
    resolver_.cancel();
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

  const core::TlsExpiryProbe probe_;
  const std::string where_;
  Found found_;
  tcp::resolver resolver_;
  asio::ssl::stream<tcp::socket> stream_;
};

class TlsExpiryRunner final : public ProbeRunner {
 public:
  // Throws boost::system::system_error when there is no TLS.
  TlsExpiryRunner(core::TlsExpiryProbe probe, const Tools& tools)
      : probe_(std::move(probe)), tools_(tools), tls_(clients::make_tls()) {}
  ~TlsExpiryRunner() override { abandon(); }

  void run(Found found) override {
    attempt_ = std::make_shared<TlsAttempt>(tools_, probe_, *tls_, std::move(found));
    attempt_->start();
  }
  Finding give_up() override {
    abandon();
    return silent(probe_.host + ":" + std::to_string(probe_.port) + ": no handshake in time");
  }

 private:
  void abandon() {
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  const core::TlsExpiryProbe probe_;
  Tools tools_;
  std::shared_ptr<asio::ssl::context> tls_;
  std::shared_ptr<TlsAttempt> attempt_;
};

// Every certificate of a PEM file.
Finding look_at_file(const core::TlsExpiryProbe& probe) {
  const std::unique_ptr<BIO, int (*)(BIO*)> file(::BIO_new_file(probe.file.c_str(), "r"),
                                                 &::BIO_free);
  if (!file) return wrong(probe.file + " cannot be read");
  constexpr int kChainMax = 100;
  STACK_OF(X509)* const chain = sk_X509_new_null();
  for (int count = 0; count < kChainMax; ++count) {
    X509* const certificate = ::PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr);
    if (certificate == nullptr) break;
    sk_X509_push(chain, certificate);
  }
  Finding finding = judge(probe, chain);
  sk_X509_pop_free(chain, &::X509_free);
  finding.detail = probe.file + ": " + finding.detail;
  return finding;
}

}  // namespace

std::unique_ptr<ProbeRunner> make_tls_expiry(const core::TlsExpiryProbe& probe,
                                             const Tools& tools) {
  if (!probe.file.empty()) {
    return make_blocking([probe] { return look_at_file(probe); }, probe.file, tools);
  }
  try {
    return std::make_unique<TlsExpiryRunner>(probe, tools);
  } catch (const boost::system::system_error&) {
    return make_blocking([] { return not_done("TLS cannot be set up"); }, "TLS", tools);
  }
}

}  // namespace recover::adapters::probe
