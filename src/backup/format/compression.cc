#include "backup/format/compression.h"

#include <zstd.h>

#include <algorithm>
#include <array>

#include <recover/check.h>

#include "backup/crypto/scratch.h"

namespace recover::backup {
namespace {

constexpr int kWindowLog = 19;         // 512 KiB: restic's own.
constexpr int kWindowLogReadMax = 27;  // 128 MiB: what restic's decoder takes.
// decompresses_to() has room for so much at a time.
constexpr std::size_t kComparedWhole = std::size_t{128} << 10U;
constexpr std::size_t kSampleBytes = 1024;
constexpr std::size_t kSamplesMin = 4;
constexpr std::size_t kSamplesMax = 16;
// Below, level 1 packs as well as 3: both see all of it, and neither finds matches across files.
constexpr std::size_t kSmallBytes = std::size_t{32} << 10U;
constexpr int kSmallLevel = 1;
// Above, a larger table: level 1 of blocks of files that change by pages, level 2 of what is
// longer; with it they pack as well as level 3 (within half a percent) in two thirds of its time.
constexpr std::size_t kBlockBytes = std::size_t{128} << 10U;
constexpr int kLargeLevel = 2;
constexpr int kLargeHashLog = 17;
constexpr std::size_t kWorthSampling = 16 * kSamplesMin * kSampleBytes;

Unexpected<Failure> broken(std::string_view why) {
  return fail(FailureKind::Damaged, "zstd: " + std::string(why));
}

}  // namespace

struct Compressor::State {
  struct Free {
    void operator()(ZSTD_CCtx* used) const { ZSTD_freeCCtx(used); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
  Scratch out;
  int level = kDefaultLevel;
  struct Choice {
    int level = -1;
    int hash_log = 0;  // 0: the level's own.
    friend bool operator==(const Choice&, const Choice&) = default;
  };
  Choice chosen;  // What the context is set to.

  Choice choice_for(std::size_t size) const {
    if (level != kDefaultLevel) return {.level = level};
    if (size <= kSmallBytes) return {.level = kSmallLevel};
    return {.level = size <= kBlockBytes ? kSmallLevel : kLargeLevel, .hash_log = kLargeHashLog};
  }
  void choose(std::size_t size) {
    const Choice wanted = choice_for(size);
    if (wanted == chosen) return;
    chosen = wanted;
    set(ZSTD_c_compressionLevel, wanted.level);
    set(ZSTD_c_hashLog, wanted.hash_log);
  }
  void set(ZSTD_cParameter parameter, int value) const {
    RECOVER_CHECK(ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), parameter, value)) == 0);
  }
  std::size_t compress(View plain, std::span<std::uint8_t> room) {
    choose(plain.size());
    const std::size_t size =
        ZSTD_compress2(context.get(), room.data(), room.size(), plain.data(), plain.size());
    RECOVER_CHECK(ZSTD_isError(size) == 0);
    return size;
  }
};

Compressor::Compressor(int level) : state_(std::make_unique<State>()) {
  state_->set(ZSTD_c_windowLog, kWindowLog);
  state_->set(ZSTD_c_checksumFlag, 0);
  set_level(level);
}
Compressor::Compressor(Compressor&&) noexcept = default;
Compressor& Compressor::operator=(Compressor&&) noexcept = default;
Compressor::~Compressor() = default;

void Compressor::set_level(int level) {
  state_->level = level;
  state_->chosen = {};
}

View Compressor::compress(View plain) {
  const auto room = state_->out.room(bound(plain.size()));
  return room.first(state_->compress(plain, room));
}

std::size_t Compressor::compress_into(View plain, std::span<std::uint8_t> room) {
  return state_->compress(plain, room);
}

std::size_t Compressor::bound(std::size_t plain) {
  return ZSTD_compressBound(plain);
}

bool Compressor::compress(const Pieces& text, const std::function<bool(View)>& out) {
  ZSTD_CCtx* const context = state_->context.get();
  state_->choose(static_cast<std::size_t>(text.size));
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  RECOVER_CHECK(ZSTD_isError(ZSTD_CCtx_setPledgedSrcSize(context, text.size)) == 0);
  Bytes room(ZSTD_CStreamOutSize());
  std::uint64_t done = 0;
  const auto push = [&](View piece, ZSTD_EndDirective how) {
    ZSTD_inBuffer in{.src = piece.data(), .size = piece.size(), .pos = 0};
    std::size_t left = 1;
    while (how == ZSTD_e_end ? left != 0 : in.pos < in.size) {
      ZSTD_outBuffer to{.dst = room.data(), .size = room.size(), .pos = 0};
      left = ZSTD_compressStream2(context, &to, &in, how);
      if (ZSTD_isError(left) != 0) return false;
      if (to.pos > 0 && !out(View(room).first(to.pos))) return false;
    }
    done += piece.size();
    return true;
  };
  const bool whole = text.each([&](View piece) { return push(piece, ZSTD_e_continue); }) &&
                     done == text.size && push({}, ZSTD_e_end);
  ZSTD_CCtx_reset(context, ZSTD_reset_session_only);
  return whole;
}

// Order-0 entropy misses text-like repetition but not noise: bytes of noise are all alike frequent.
// The sum of squared frequencies is 1/256 for noise, and half as much again for base64 of it.
bool Compressor::is_promising(View plain) {
  if (plain.size() < kWorthSampling) return true;
  std::array<std::uint32_t, 256> seen{};
  const std::size_t samples =
      std::clamp(plain.size() / kWorthSampling * kSamplesMin, kSamplesMin, kSamplesMax);
  const std::size_t stride = (plain.size() - kSampleBytes) / (samples - 1);
  for (std::size_t sample = 0; sample < samples; ++sample) {
    for (const std::uint8_t byte : plain.subspan(sample * stride, kSampleBytes)) ++seen[byte];
  }
  std::uint64_t squares = 0;
  for (const std::uint64_t count : seen) squares += count * count;
  const std::uint64_t total = samples * kSampleBytes;
  // Noise gives total^2 / 256 + total; a quarter above it is far outside its spread.
  return squares > total * total / 256 * 5 / 4;
}

struct Decompressor::State {
  struct Free {
    void operator()(ZSTD_DCtx* used) const { ZSTD_freeDCtx(used); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
  Scratch compared;

  bool compare_whole(View frame, View plain) {
    const auto room = compared.room(plain.size());
    const std::size_t size =
        ZSTD_decompressDCtx(context.get(), room.data(), room.size(), frame.data(), frame.size());
    return size == plain.size() && std::equal(plain.begin(), plain.end(), room.begin());
  }
  bool compare_pieces(View frame, View plain) {
    ZSTD_inBuffer in{.src = frame.data(), .size = frame.size(), .pos = 0};
    ZSTD_DCtx_reset(context.get(), ZSTD_reset_session_only);
    const auto room = compared.room(kComparedWhole);
    std::size_t left = 1;
    while (left != 0) {
      ZSTD_outBuffer to{.dst = room.data(), .size = room.size(), .pos = 0};
      left = ZSTD_decompressStream(context.get(), &to, &in);
      const bool stuck = to.pos == 0 && in.pos == in.size && left != 0;
      if (ZSTD_isError(left) != 0 || stuck || to.pos > plain.size()) return false;
      if (!std::equal(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(to.pos),
                      plain.begin())) {
        return false;
      }
      plain = plain.subspan(to.pos);
    }
    return plain.empty() && in.pos == in.size;
  }
};

Decompressor::Decompressor() : state_(std::make_unique<State>()) {
  RECOVER_CHECK(ZSTD_isError(ZSTD_DCtx_setParameter(state_->context.get(), ZSTD_d_windowLogMax,
                                                    kWindowLogReadMax)) == 0);
}
Decompressor::Decompressor(Decompressor&&) noexcept = default;
Decompressor& Decompressor::operator=(Decompressor&&) noexcept = default;
Decompressor::~Decompressor() = default;

Outcome<Bytes> Decompressor::decompress(View frame, std::size_t length) {
  Bytes out(length);
  if (auto done = decompress_into(frame, out); !done) return Unexpected(std::move(done.error()));
  return out;
}

Outcome<void> Decompressor::decompress_into(View frame, std::span<std::uint8_t> plain) {
  const std::size_t size = ZSTD_decompressDCtx(state_->context.get(), plain.data(), plain.size(),
                                               frame.data(), frame.size());
  if (ZSTD_isError(size) != 0) return broken(ZSTD_getErrorName(size));
  if (size != plain.size()) return broken("the content is shorter than it was said to be");
  return {};
}

bool Decompressor::decompresses_to(View frame, View plain) {
  return plain.size() <= kComparedWhole ? state_->compare_whole(frame, plain)
                                        : state_->compare_pieces(frame, plain);
}

Outcome<void> Decompressor::decompress_pieces(const std::function<Outcome<View>()>& next,
                                              const std::function<Outcome<void>(View)>& use) {
  ZSTD_DCtx_reset(state_->context.get(), ZSTD_reset_session_only);
  const auto room = state_->compared.room(kComparedWhole);
  ZSTD_inBuffer in{};
  std::size_t left = 1;
  while (left != 0) {
    const bool dry = in.pos == in.size;
    if (dry) {
      const auto more = next();
      if (!more) return Unexpected(more.error());
      in = {.src = more->data(), .size = more->size(), .pos = 0};
    }
    ZSTD_outBuffer to{.dst = room.data(), .size = room.size(), .pos = 0};
    left = ZSTD_decompressStream(state_->context.get(), &to, &in);
    if (ZSTD_isError(left) != 0) return broken(ZSTD_getErrorName(left));
    // What was taken in before may still come out.
    if (left != 0 && dry && in.size == 0 && to.pos == 0) return broken("the frame is cut off");
    if (auto used = use(room.first(to.pos)); !used) return used;
  }
  const auto behind = in.pos == in.size ? next() : View();
  if (!behind) return Unexpected(behind.error());
  const bool ended = in.pos == in.size && behind->empty();
  return ended ? Outcome<void>() : broken("there is something behind the frame");
}

Outcome<Bytes> Decompressor::decompress_up_to(View frame, std::size_t limit) {
  const unsigned long long declared = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (declared == ZSTD_CONTENTSIZE_ERROR) return broken("no frame");
  if (declared != ZSTD_CONTENTSIZE_UNKNOWN) {
    if (declared > limit) return broken("the content is larger than the limit");
    return decompress(frame, declared);
  }
  Bytes out;
  ZSTD_inBuffer in{.src = frame.data(), .size = frame.size(), .pos = 0};
  std::size_t left = 1;
  ZSTD_DCtx_reset(state_->context.get(), ZSTD_reset_session_only);
  while (left != 0) {
    const std::size_t filled = out.size();
    if (filled >= limit) return broken("the content is larger than the limit");
    out.resize(std::min(limit, filled + ZSTD_DStreamOutSize()));
    ZSTD_outBuffer to{.dst = out.data(), .size = out.size(), .pos = filled};
    left = ZSTD_decompressStream(state_->context.get(), &to, &in);
    if (ZSTD_isError(left) != 0) return broken(ZSTD_getErrorName(left));
    out.resize(to.pos);
    if (left != 0 && in.pos == in.size && to.pos == filled) return broken("the frame is cut off");
  }
  return out;
}

}  // namespace recover::backup
