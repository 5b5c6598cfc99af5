// One question to one DNS server over UDP, asked again every kAgain until the look's time is over.
//
// Answers from elsewhere, or to another question, are passed over. An answer cut short says only
// that the server is there.
#include <arpa/nameser.h>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <resolv.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <utility>
#include <vector>

#include "adapters/probe/runners.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
using asio::ip::udp;
using boost::system::error_code;
using core::FailureClass;
using core::Symptom;

constexpr Duration kAgain = std::chrono::seconds{1};
constexpr std::size_t kMessageMax = 4096;
using Message = std::vector<unsigned char>;

ns_type type_of(core::DnsProbe::Type type) {
  using Type = core::DnsProbe::Type;
  switch (type) {
    case Type::A: return ns_t_a;
    case Type::Aaaa: return ns_t_aaaa;
    case Type::Cname: return ns_t_cname;
    case Type::Mx: return ns_t_mx;
    case Type::Ns: return ns_t_ns;
    case Type::Ptr: return ns_t_ptr;
    case Type::Soa: return ns_t_soa;
    case Type::Srv: return ns_t_srv;
    case Type::Txt: return ns_t_txt;
  }
  return ns_t_a;
}

// Empty: the name is no domain name.
Message question_of(const core::DnsProbe& probe) {
  struct __res_state state {};
  if (::res_ninit(&state) != 0) return {};
  Message message(kMessageMax);
  const int size =
      ::res_nmkquery(&state, ns_o_query, probe.name.c_str(), ns_c_in, type_of(probe.type), nullptr,
                     0, nullptr, message.data(), static_cast<int>(message.size()));
  ::res_nclose(&state);
  message.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  if (message.empty()) return message;
  static std::random_device random;  // Hard to guess for who would forge an answer.
  const auto id = static_cast<std::uint16_t>(random());
  message[0] = static_cast<unsigned char>(id >> 8U);
  message[1] = static_cast<unsigned char>(id & 0xffU);
  return message;
}

// The first server of /etc/resolv.conf; the local host when there is none.
std::string system_server() {
  const std::string local = "127.0.0.1";
  struct __res_state state {};
  if (::res_ninit(&state) != 0) return local;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (state.nscount > 0 && state.nsaddr_list[0].sin_family == AF_INET) {
    ::inet_ntop(AF_INET, &state.nsaddr_list[0].sin_addr, text.data(), text.size());
  } else if (state._u._ext.nsaddrs[0] != nullptr) {
    ::inet_ntop(AF_INET6, &state._u._ext.nsaddrs[0]->sin6_addr, text.data(), text.size());
  }
  ::res_nclose(&state);
  return text[0] == '\0' ? local : text.data();
}

std::string name_at(const ns_msg& message, const unsigned char* at) {
  std::array<char, NS_MAXDNAME> name{};
  const int size =
      ::ns_name_uncompress(ns_msg_base(message), ns_msg_end(message), at, name.data(), name.size());
  return size < 0 ? "" : name.data();
}

// All the pieces of a TXT record, together.
std::string text_of(const unsigned char* data, std::size_t size) {
  std::string text;
  for (std::size_t at = 0; at < size; at += 1U + data[at]) {
    text.append(reinterpret_cast<const char*>(data) + at + 1,
                std::min<std::size_t>(data[at], size - at - 1));
  }
  return text;
}

// A record's value as people write it: addresses, names (of MX and SRV without the numbers), text.
std::string value_of(const ns_msg& message, const ns_rr& record, core::DnsProbe::Type type) {
  using Type = core::DnsProbe::Type;
  const unsigned char* const data = ns_rr_rdata(record);
  const std::size_t size = ns_rr_rdlen(record);
  const auto name_behind = [&](std::size_t numbers) {
    return size > numbers ? name_at(message, data + numbers) : std::string();
  };
  std::array<char, INET6_ADDRSTRLEN> address{};
  switch (type) {
    case Type::A:
      return size == 4 ? ::inet_ntop(AF_INET, data, address.data(), address.size()) : "";
    case Type::Aaaa:
      return size == 16 ? ::inet_ntop(AF_INET6, data, address.data(), address.size()) : "";
    case Type::Mx: return name_behind(2);
    case Type::Srv: return name_behind(6);
    case Type::Txt: return text_of(data, size);
    case Type::Cname:
    case Type::Ns:
    case Type::Ptr:
    case Type::Soa: return name_behind(0);
  }
  return "";
}

struct Answer {
  int code = 0;  // ns_r_noerror, …
  bool cut_short = false;
  std::vector<std::string> values;  // Of the type asked for.
};

// None: not an answer to that question.
std::optional<Answer> answer_of(const Message& question, const unsigned char* bytes,
                                std::size_t size, core::DnsProbe::Type type) {
  ns_msg message{};
  if (size < 2 || bytes[0] != question[0] || bytes[1] != question[1]) return std::nullopt;
  if (::ns_initparse(bytes, static_cast<int>(size), &message) != 0) return std::nullopt;
  if (ns_msg_getflag(message, ns_f_qr) != 1) return std::nullopt;
  Answer answer{.code = ns_msg_getflag(message, ns_f_rcode),
                .cut_short = ns_msg_getflag(message, ns_f_tc) == 1,
                .values = {}};
  for (int index = 0; index < ns_msg_count(message, ns_s_an); ++index) {
    ns_rr record{};
    if (::ns_parserr(&message, ns_s_an, index, &record) != 0) break;
    if (ns_rr_type(record) == type_of(type)) {
      answer.values.push_back(value_of(message, record, type));
    }
  }
  return answer;
}

Finding of_code(int code, const std::string& what) {
  switch (code) {
    case ns_r_nxdomain: return wrong(what + ": no such name");
    case ns_r_servfail:
      return failed(Symptom::ProbeFailed, FailureClass::SystemUnavailable,
                    what + ": the server failed");
    case ns_r_refused:
      return failed(Symptom::PermissionDenied, FailureClass::Permission, what + ": refused");
    default: return wrong(what + ": error " + std::to_string(code));
  }
}

Finding judge(const core::DnsProbe& probe, const Answer& answer) {
  const std::string what = probe.name;
  if (answer.code != ns_r_noerror) return of_code(answer.code, what);
  std::string all;
  for (const std::string& value : answer.values) all += (all.empty() ? "" : ", ") + value;
  if (answer.cut_short) return passed(what + ": more than fits, beginning with " + all);
  if (answer.values.empty()) return wrong(what + ": no record of that type");
  for (const std::string& wanted : probe.expect) {
    if (std::ranges::find(answer.values, wanted) == answer.values.end()) {
      return wrong(what + " is " + all + ", wanted " + wanted);
    }
  }
  return passed(what + " is " + all);
}

class DnsAttempt : public std::enable_shared_from_this<DnsAttempt> {
 public:
  DnsAttempt(asio::io_context& loop, const core::DnsProbe& probe, udp::endpoint server, Found found)
      : probe_(probe),
        server_(std::move(server)),
        found_(std::move(found)),
        question_(question_of(probe)),
        socket_(loop),
        again_(loop) {}

  void start() {
    error_code error;
    socket_.open(server_.protocol(), error);
    if (!error) socket_.connect(server_, error);  // Only its answers, and its refusals, come in.
    if (error || question_.empty()) {
      Finding why =
          error ? of_errno(error.value(), where()) : not_done(probe_.name + " is no domain name");
      again_.expires_after(Duration::zero());  // Never from within run().
      again_.async_wait(
          [self = shared_from_this(), why = std::move(why)](error_code) { self->finish(why); });
      return;
    }
    receive();
    send();
  }
  void abandon() {
    found_ = nullptr;
    close();
  }
  std::string where() const {
    return server_.address().to_string() + ":" + std::to_string(server_.port());
  }

 private:
  void send() {
    socket_.async_send(asio::buffer(question_),
                       [self = shared_from_this()](error_code error, std::size_t) {
                         if (error) self->fail(error);
                       });
    again_.expires_after(kAgain);
    again_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self && self->found_) self->send();
    });
  }
  void receive() {
    socket_.async_receive(asio::buffer(bytes_), [self = shared_from_this()](error_code error,
                                                                            std::size_t size) {
      if (error) return self->fail(error);
      const auto answer = answer_of(self->question_, self->bytes_.data(), size, self->probe_.type);
      if (!answer) return self->receive();
      self->finish(judge(self->probe_, *answer));
    });
  }
  void fail(error_code error) {
    if (found_) finish(of_errno(error.value(), where()));
  }
  void finish(Finding finding) {
    const Found done = std::exchange(found_, nullptr);
    close();
    if (done) done(std::move(finding));
  }
  void close() {
    again_.cancel();
    error_code ignored;
    socket_.close(ignored);
  }

  const core::DnsProbe probe_;
  const udp::endpoint server_;
  Found found_;
  const Message question_;
  udp::socket socket_;
  asio::steady_timer again_;
  std::array<unsigned char, kMessageMax> bytes_{};
};

class DnsRunner final : public ProbeRunner {
 public:
  DnsRunner(core::DnsProbe probe, udp::endpoint server, asio::io_context& loop)
      : probe_(std::move(probe)), server_(std::move(server)), loop_(loop) {}
  ~DnsRunner() override { abandon(); }

  void run(Found found) override {
    attempt_ = std::make_shared<DnsAttempt>(loop_, probe_, server_, std::move(found));
    attempt_->start();
  }
  Finding give_up() override {
    const std::string where = attempt_->where();
    abandon();
    return silent(where + ": no answer in time");
  }

 private:
  void abandon() {
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  const core::DnsProbe probe_;
  const udp::endpoint server_;
  asio::io_context& loop_;
  std::shared_ptr<DnsAttempt> attempt_;
};

}  // namespace

std::unique_ptr<ProbeRunner> make_dns(const core::DnsProbe& probe, const Tools& tools) {
  error_code error;
  const auto address =
      asio::ip::make_address(probe.server.empty() ? system_server() : probe.server, error);
  if (error) return make_blocking([] { return not_done("`server` is no address"); }, "dns", tools);
  return std::make_unique<DnsRunner>(probe, udp::endpoint(address, probe.port), tools.loop);
}

}  // namespace recover::adapters::probe
