// Envoy's ejection of a host that fails in a row; times in seconds.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

#include <recover/outlier_detector.h>

#include "policy_vectors.h"
#include "report.h"

namespace recover::conformance {
namespace {

constexpr Duration kSecond = std::chrono::seconds{1};
constexpr int kCappedEjections = 31;

double seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// One host of one, swept every 10 s, out for 10 s at first: the setting of Envoy's tests.
class HostReplay {
 public:
  explicit HostReplay(Fields& vector)
      : config_{.interval = duration_of(vector.number("interval", 10), kSecond),
                .base_ejection_time = duration_of(vector.number("base", 10), kSecond),
                .max_ejection_time = duration_of(vector.number("max", 300), kSecond),
                .max_ejection_percent = 100},
        detector_(config_, 1, now_) {}

  void advance_to(double t) {
    now_ = Instant{duration_of(t, kSecond)};
    detector_.catch_up(now_);
  }

  void eject() {
    for (std::uint32_t i = 1; i < config_.consecutive_failures; ++i) {
      detector_.record_failure(0, now_, 0);
    }
    const bool ejected = detector_.record_failure(0, now_, 0) == failover::Detection::Ejected;
    expect_equal("eject", true, ejected);
  }

  void step(Fields fields) {
    const bool was_out = detector_.ejected(0);
    advance_to(fields.number("t"));
    if (fields.find("uneject") != nullptr) {
      expect_equal("uneject", fields.count("uneject"), was_out && !detector_.ejected(0) ? 1 : 0);
    }
    if (fields.find("eject") != nullptr) eject();
    if (fields.find("ejected") != nullptr) {
      expect_equal("ejected", fields.boolean("ejected"), detector_.ejected(0));
    }
    if (fields.find("backoff") != nullptr) {
      expect_equal("backoff", fields.count("backoff"), detector_.backoff(0));
    }
    fields.reject_rest();
  }

  const failover::OutlierDetector& detector() const { return detector_; }

 private:
  Instant now_;
  const OutlierDetectorConfig config_;
  failover::OutlierDetector detector_;
};

void replay_timeline(Fields& vector) {
  HostReplay replay(vector);
  const Json& timeline = vector.at("timeline");
  for (std::size_t i = 0; i < timeline.size(); ++i) {
    try {
      replay.step(Fields(timeline[i], ""));
    } catch (const Failed& failure) {
      throw Failed(numbered("step", i) + failure.what());
    }
  }
}

void replay_jitter(Fields& vector) {
  const auto random = static_cast<std::uint64_t>(vector.number("random"));
  const std::chrono::milliseconds max{vector.count("max_jitter_ms")};
  expect_near("jitter_ms", vector.number("jitter_ms"),
              static_cast<double>(failover::ejection_jitter(random, max).count()));
}

// Ejected again the moment it is back, the host is out for 10, 20, … 300 and again 300 s.
void replay_cap(Fields& vector) {
  HostReplay replay(vector);
  double now = 0;
  for (int i = 1; i <= kCappedEjections; ++i) {
    replay.advance_to(now);
    replay.eject();
    const double expected = std::min(10.0 * i, 300.0);
    expect_near(numbered("ejection", static_cast<std::size_t>(i) - 1) + "seconds", expected,
                seconds(replay.detector().ejection_time(0)));
    now += expected;
  }
}

}  // namespace

void replay_outlier(Fields& vector) {
  if (vector.has("timeline")) return replay_timeline(vector);
  if (vector.has("jitter_ms")) return replay_jitter(vector);
  // O03 has its facts in its title only.
  if (vector.text("id") == "O03") return replay_cap(vector);
  throw Skipped(
      "outlier: a shape other than timeline or jitter_ms (hosts are not compared with each other, "
      "so there is no ejection by success rate or failure percentage)");
}

}  // namespace recover::conformance
