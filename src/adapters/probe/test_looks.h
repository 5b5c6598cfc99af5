// For tests: one look of one probe, and a prober with its events.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <unistd.h>

#include <chrono>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "adapters/probe/prober.h"
#include "core/event.h"
#include "core/policy.h"

namespace recover::adapters::probe {

class TestProber {
 public:
  explicit TestProber(std::function<std::uint32_t(core::ServiceIndex)> running = {})
      : prober_(std::make_unique<Prober>(
            loop_, pool_,
            Prober::Options{
                .sink =
                    [this](core::Event event) {
                      events.push_back(std::get<core::ProbeFinished>(std::move(event)));
                    },
                .now = [] { return std::chrono::steady_clock::now(); },
                .running = std::move(running),
                .trees = [](core::ServiceIndex) { return std::vector<Tree>{{.pid = ::getpid()}}; },
                .measure =
                    [](const core::ResourceProbe&) { return Result<double, std::string>(0.95); },
            })) {}
  ~TestProber() {
    prober_.reset();
    loop_.run();  // What still holds on is told to let go.
    pool_.join();
  }

  // Waits for the next event.
  core::ProbeFinished next() {
    const std::size_t before = events.size();
    while (events.size() == before && loop_.run_one() > 0) {
    }
    return events.at(before);
  }
  // The first look of this probe.
  core::ProbeFinished look(core::ProbeSpec spec, Duration timeout = std::chrono::seconds(30)) {
    watch({});  // Also when it is the probe that was looked at before.
    watch({{.spec = std::move(spec), .interval = std::chrono::hours(1), .timeout = timeout}});
    return next();
  }
  void watch(std::vector<core::ProbePolicy> probes) {
    core::ServicePolicy service;
    service.name = "web";
    service.probes = std::move(probes);
    policy.services = {service};
    prober_->watch(policy);
  }
  Prober& prober() { return *prober_; }
  boost::asio::io_context& loop() { return loop_; }

  core::Policy policy;
  std::vector<core::ProbeFinished> events;

 private:
  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{2};
  std::unique_ptr<Prober> prober_;
};

}  // namespace recover::adapters::probe
