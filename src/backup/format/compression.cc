#include "backup/format/compression.h"

#include <zstd.h>

#include <algorithm>
#include <array>

#include <recover/check.h>

namespace recover::backup {
namespace {

constexpr int kWindowLog = 19;         // 512 KiB: restic's own.
constexpr int kWindowLogReadMax = 27;  // 128 MiB: what restic's decoder takes.
constexpr std::size_t kSampleBytes = 4096;
constexpr std::size_t kSamples = 4;
constexpr std::size_t kWorthSampling = 4 * kSamples * kSampleBytes;

Unexpected<Failure> broken(std::string_view why) {
  return fail(FailureKind::Damaged, "zstd: " + std::string(why));
}

}  // namespace

struct Compressor::State {
  struct Free {
    void operator()(ZSTD_CCtx* used) const { ZSTD_freeCCtx(used); }
  };
  std::unique_ptr<ZSTD_CCtx, Free> context{ZSTD_createCCtx()};
  Bytes out;

  void set(ZSTD_cParameter parameter, int value) const {
    RECOVER_CHECK(ZSTD_isError(ZSTD_CCtx_setParameter(context.get(), parameter, value)) == 0);
  }
  std::size_t compress(View plain) {
    const std::size_t bound = ZSTD_compressBound(plain.size());
    if (out.size() < bound) out.resize(bound);
    const std::size_t size =
        ZSTD_compress2(context.get(), out.data(), out.size(), plain.data(), plain.size());
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
  state_->set(ZSTD_c_compressionLevel, level);
}

View Compressor::compress(View plain) {
  const std::size_t size = state_->compress(plain);
  return View(state_->out).first(size);
}

// Order-0 entropy misses text-like repetition but not noise: bytes of noise are all alike frequent.
// The sum of squared frequencies is 1/256 for noise, and half as much again for base64 of it.
bool Compressor::is_promising(View plain) {
  if (plain.size() < kWorthSampling) return true;
  std::array<std::uint32_t, 256> seen{};
  const std::size_t stride = (plain.size() - kSampleBytes) / (kSamples - 1);
  for (std::size_t sample = 0; sample < kSamples; ++sample) {
    for (const std::uint8_t byte : plain.subspan(sample * stride, kSampleBytes)) ++seen[byte];
  }
  std::uint64_t squares = 0;
  for (const std::uint64_t count : seen) squares += count * count;
  constexpr std::uint64_t kTotal = kSamples * kSampleBytes;
  // Noise gives kTotal^2 / 256 + kTotal; a quarter above it is far outside its spread.
  return squares > kTotal * kTotal / 256 * 5 / 4;
}

struct Decompressor::State {
  struct Free {
    void operator()(ZSTD_DCtx* used) const { ZSTD_freeDCtx(used); }
  };
  std::unique_ptr<ZSTD_DCtx, Free> context{ZSTD_createDCtx()};
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
  const std::size_t size = ZSTD_decompressDCtx(state_->context.get(), out.data(), out.size(),
                                               frame.data(), frame.size());
  if (ZSTD_isError(size) != 0) return broken(ZSTD_getErrorName(size));
  if (size != length) return broken("the content is shorter than it was said to be");
  return out;
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
