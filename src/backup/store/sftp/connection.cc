#include "backup/store/sftp/connection.h"

#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>

#include <recover/check.h>

namespace recover::backup::sftp {
namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::size_t kHeaderBytes = 5;  // Length and type.
constexpr std::uint32_t kTransferBytesMost = 255U << 10U;

// How long a read or a write may wait; zero: for ever.
void set_patience(int channel, int option, Duration patience) {
  const auto whole = std::chrono::ceil<std::chrono::microseconds>(patience).count();
  const timeval time{.tv_sec = whole / 1'000'000, .tv_usec = whole % 1'000'000};
  ::setsockopt(channel, SOL_SOCKET, option, &time, sizeof time);
}

// False: errno says why. No signal comes of a program that is gone.
bool send_all(int channel, View bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(channel, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(sent));
  }
  return true;
}

Bytes packet_of(Type type, std::optional<std::uint32_t> number, View fields) {
  Fields head;
  const std::size_t length = 1 + (number ? 4 : 0) + fields.size();
  head.add(static_cast<std::uint32_t>(length));
  Bytes packet = head.bytes();
  packet.push_back(static_cast<std::uint8_t>(type));
  if (number) append(packet, Fields().add(*number).bytes());
  append(packet, fields);
  return packet;
}

// A whole packet: its type and what follows. None: the connection ended, or broke its own rules.
std::optional<Answer> read_packet(int fd) {
  std::array<std::uint8_t, kHeaderBytes> head{};
  if (read_up_to(fd, head) != static_cast<ssize_t>(head.size())) return std::nullopt;
  const std::uint32_t length = FieldReader(View(head).first(4)).number();
  if (length < 1 || length > kPacketBytesMax) return std::nullopt;
  Answer packet{.type = static_cast<Type>(head[4]), .payload = Bytes(length - 1)};
  if (read_up_to(fd, packet.payload) != static_cast<ssize_t>(length - 1)) return std::nullopt;
  return packet;
}

}  // namespace

Outcome<std::unique_ptr<Connection>> Connection::open(const std::vector<std::string>& command,
                                                      Duration patience) {
  auto process = BackendProcess::start(command);
  if (!process) return Unexpected(process.error());
  std::unique_ptr<Connection> made(new Connection(std::move(*process), patience));
  if (auto greeted = made->greet(); !greeted) return Unexpected(greeted.error());
  made->listener_ = std::thread([raw = made.get()] { raw->listen(); });
  made->ask_limits();
  return made;
}

Connection::Connection(BackendProcess process, Duration patience)
    : process_(std::move(process)), patience_(patience) {}

Connection::~Connection() {
  break_off("it is closed");
  if (listener_.joinable()) listener_.join();
}

Outcome<void> Connection::greet() {
  const int channel = process_.channel();
  set_patience(channel, SO_SNDTIMEO, patience_);
  set_patience(channel, SO_RCVTIMEO, patience_);
  const Bytes hello = packet_of(Type::Init, std::nullopt, Fields().add(kVersion).bytes());
  std::optional<Answer> answer;
  if (send_all(channel, hello)) answer = read_packet(channel);
  set_patience(channel, SO_RCVTIMEO, Duration::zero());
  if (!answer || answer->type != Type::Version) {
    process_.break_off();
    return fail(FailureKind::Unreachable,
                "no SFTP server answers; what its program said stands above");
  }
  FieldReader fields(answer->payload);
  if (fields.number() != kVersion) {
    process_.break_off();
    return fail(FailureKind::Unsupported, "the SFTP server does not speak version 3");
  }
  while (fields.is_good() && !fields.is_empty()) {
    extensions_.emplace(text_of(fields.text()));
    fields.text();
  }
  return {};
}

void Connection::ask_limits() {
  if (!has("limits@openssh.com")) return;
  const auto answer = ask(Type::Extended, Fields().add("limits@openssh.com").bytes());
  if (!answer || answer->type != Type::ExtendedReply) return;
  FieldReader fields(answer->payload);
  fields.long_number();  // Of a packet.
  const std::uint64_t smaller = std::min(fields.long_number(), fields.long_number());
  if (!fields.is_good() || smaller < transfer_bytes_) return;
  transfer_bytes_ =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(smaller, kTransferBytesMost));
}

void Connection::listen() {
  while (receive()) {
  }
  break_off("the connection ended");
}

// One answer to whoever waits for it.
bool Connection::receive() {
  auto packet = read_packet(process_.channel());
  if (!packet || packet->payload.size() < 4) return false;
  const Ticket ticket = FieldReader(packet->payload).number();
  packet->payload.erase(packet->payload.begin(), packet->payload.begin() + 4);
  {
    const std::lock_guard lock(mutex_);
    const auto found = waiting_.find(ticket);
    if (found == waiting_.end() || found->second) return false;
    found->second = std::move(*packet);
  }
  arrived_.notify_all();
  return true;
}

void Connection::break_off(const std::string& why) {
  {
    const std::lock_guard lock(mutex_);
    if (!broken_.empty()) return;
    broken_ = why;
  }
  process_.break_off();
  arrived_.notify_all();
}

bool Connection::is_broken() {
  const std::lock_guard lock(mutex_);
  return !broken_.empty();
}

Unexpected<Failure> Connection::broken_failure() const {
  return fail(FailureKind::Unreachable, broken_);
}

Outcome<Connection::Ticket> Connection::send(Type type, View fields) {
  Ticket ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!broken_.empty()) return broken_failure();
    ticket = next_++;
    waiting_.emplace(ticket, std::nullopt);
  }
  const Bytes packet = packet_of(type, ticket, fields);
  const std::lock_guard lock(writing_);
  if (!send_all(process_.channel(), packet)) {
    break_off("writing to it: " + std::generic_category().message(errno));
    return fail(FailureKind::Unreachable, "writing to the SFTP server failed");
  }
  return ticket;
}

Outcome<Answer> Connection::take(Ticket ticket) {
  std::unique_lock lock(mutex_);
  const auto here = [&] {
    const auto found = waiting_.find(ticket);
    RECOVER_CHECK(found != waiting_.end());
    return found->second.has_value();
  };
  const bool came = arrived_.wait_for(lock, patience_, [&] { return here() || !broken_.empty(); });
  if (came && here()) {
    Answer answer = std::move(*waiting_.at(ticket));
    waiting_.erase(ticket);
    return answer;
  }
  waiting_.erase(ticket);
  if (came) return broken_failure();
  lock.unlock();
  break_off("no answer for too long");
  return fail(FailureKind::Unreachable, "no answer for too long");
}

Outcome<Answer> Connection::ask(Type type, View fields) {
  const auto ticket = send(type, fields);
  if (!ticket) return Unexpected(ticket.error());
  return take(*ticket);
}

}  // namespace recover::backup::sftp
