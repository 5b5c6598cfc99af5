#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>

#include <exception>
#include <memory>

#include "adapters/probe/runners.h"
#include "core/classify.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;

// Shared with the pool's job, which may outlive the runner. `found` is the loop's alone.
struct Job {
  std::function<Finding()> look;
  Found found;  // Empty: abandoned.
  bool running = false;
};

Finding guarded(const std::function<Finding()>& look) {
  try {
    return look();
  } catch (const std::exception& error) {
    return not_done(error.what());
  }
}

class BlockingRunner final : public ProbeRunner {
 public:
  BlockingRunner(std::function<Finding()> look, std::string what, const Tools& tools,
                 std::function<Finding()> late)
      : loop_(tools.loop), pool_(tools.pool), what_(std::move(what)), late_(std::move(late)) {
    job_->look = std::move(look);
  }
  ~BlockingRunner() override { job_->found = nullptr; }

  void run(Found found) override {
    job_->found = std::move(found);
    job_->running = true;
    // Work is counted for as long as the job is away, so the loop does not end before it is back.
    auto work = asio::make_work_guard(loop_);
    asio::post(pool_, [job = job_, &loop = loop_, guard = std::move(work)] {
      asio::post(loop, [job, finding = guarded(job->look)]() mutable {
        job->running = false;
        const Found done = std::exchange(job->found, nullptr);
        if (done) done(std::move(finding));
      });
    });
  }

  Finding give_up() override {
    job_->found = nullptr;
    return late_ ? late_() : not_done(what_ + ": no answer from the system in time");
  }

  bool busy() const override { return job_->running; }

 private:
  asio::io_context& loop_;
  asio::thread_pool& pool_;
  std::string what_;
  std::function<Finding()> late_;
  std::shared_ptr<Job> job_ = std::make_shared<Job>();
};

}  // namespace

std::unique_ptr<ProbeRunner> make_blocking(std::function<Finding()> look, std::string what,
                                           const Tools& tools, std::function<Finding()> late) {
  return std::make_unique<BlockingRunner>(std::move(look), std::move(what), tools, std::move(late));
}

std::unique_ptr<ProbeRunner> make_resource(const core::ResourceProbe& probe, const Tools& tools) {
  return make_blocking(
      [probe, measure = tools.measure] {
        if (!measure) return not_done("nothing measures resources here");
        const Result<double, std::string> used = measure(probe);
        if (!used) return not_done(used.error());
        const std::string detail = std::to_string(static_cast<int>(*used * 100)) + " % used, " +
                                   std::to_string(static_cast<int>(probe.max * 100)) + " % allowed";
        if (*used <= probe.max) return passed(detail);
        return failed(core::symptom_of(probe), core::FailureClass::ResourceExhaustion, detail);
      },
      "resource", tools);
}

}  // namespace recover::adapters::probe
