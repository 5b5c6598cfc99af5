// What keeper and engine tell each other: fixed-size packets over one SOCK_SEQPACKET pair.
//
// Both are the same program, so the layout needs no version. A packet of another size is dropped.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {

// The engine finds its end of the pair by this environment variable.
inline constexpr const char* kKeeperVariable = "RECOVERD_KEEPER_FD";

inline constexpr std::size_t kLabelSize = 48;  // With the final NUL.
using Label = std::array<char, kLabelSize>;

inline Label make_label(std::string_view text) noexcept {
  Label label{};
  std::memcpy(label.data(), text.data(), std::min(text.size(), kLabelSize - 1));
  return label;
}

enum class MessageKind : std::uint32_t {
  Fetch,     // engine: I am here, give me what you keep.
  Store,     // engine: keep the attached descriptor under `label` (replacing one of that label).
  Drop,      // engine: close what you keep under `label`.
  Kept,      // keeper: one kept descriptor, attached.
  Exit,      // keeper: a process that was not the engine's child any more has ended.
  Fetched,   // keeper: that was all; from now on only new exits.
  Announce,  // engine: tell who started us what `label` says (sd_notify).
  Reexec,    // engine: execute the program anew once I have ended.
  KeptMany,  // keeper: `code` kept descriptors, attached; their labels follow the message.
};

// What an engine that understands KeptMany says in the label of its Fetch. A keeper may be of the
// program before: it does not know it, and tells of one at a time.
inline constexpr const char* kTakesMany = "many";
inline constexpr std::size_t kManyMax = 64;

struct Message {
  MessageKind kind = MessageKind::Fetch;
  pid_t pid = 0;
  std::uint64_t start_time = 0;
  std::int32_t code = -1;
  std::int32_t signal = 0;
  Label label{};
};

struct Received {
  Message message;
  Descriptor attached;
};

// Of a KeptMany; what could not be attached is empty.
struct Many {
  std::size_t count = 0;
  std::array<Label, kManyMax> labels{};
  std::array<Descriptor, kManyMax> attached;
};

enum class Transfer : std::uint8_t { Done, Later, Closed };

// Neither blocks nor allocates. `attached` < 0: none.
Transfer send_message(int socket, const Message& message, int attached) noexcept;
// REQUIRES: as many of both, kManyMax at most.
Transfer send_many(int socket, std::span<const Label> labels, std::span<const int> fds) noexcept;
// None with `Later`: nothing there; with `Closed`: the other side is gone. `many` takes what comes
// with a KeptMany; null: that is dropped.
Transfer receive_message(int socket, Received& received, Many* many = nullptr) noexcept;

}  // namespace recover::adapters::process
