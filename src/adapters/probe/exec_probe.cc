// A program as a probe: exit status 0 passes. It runs in a process group of its own, which is
// killed whole when the look ends, in whatever way.
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <memory>
#include <utility>

#include "adapters/probe/runners.h"
#include "base/redact.h"
#include "clients/child_run.h"

namespace recover::adapters::probe {
namespace {

using clients::ChildEnd;
using clients::ChildRun;

class ExecRunner final : public ProbeRunner {
 public:
  ExecRunner(core::ExecProbe probe, const Tools& tools)
      : probe_(std::move(probe)), loop_(tools.loop) {}
  ~ExecRunner() override { abandon(); }

  void run(Found found) override {
    *found_ = std::move(found);
    clients::ChildSpec spec{.command = probe_.command, .kill_rest = true};
    for (const auto& [name, value] : probe_.environment) {
      spec.variables.push_back(name + "=" + value.reveal());
    }
    auto started = ChildRun::start(loop_, std::move(spec), [this](ChildEnd end) {
      child_.reset();
      tell(found_, finding_of(std::move(end)));
    });
    if (started) {
      child_ = *std::move(started);
      return;
    }
    // A probe that cannot be started says nothing about the service.
    boost::asio::post(
        loop_, [cell = found_,
                finding = not_done(of_errno(started.error(), probe_.command.front()).detail)] {
          tell(cell, finding);
        });
  }
  Finding give_up() override {
    abandon();
    return silent(probe_.command.front() + ": killed, not done in time");
  }

 private:
  static void tell(const std::shared_ptr<Found>& cell, Finding finding) {
    if (const Found done = std::exchange(*cell, nullptr)) done(std::move(finding));
  }
  Finding finding_of(ChildEnd end) const {
    if (end.how == ChildEnd::How::Lost) return not_done(end.text());
    std::vector<std::string> secrets;
    for (const auto& [name, value] : probe_.environment) secrets.push_back(value.reveal());
    std::string detail = end.text();
    if (!end.output.empty()) detail += ": " + base::redacted(end.output, secrets);
    return end.good() ? passed(std::move(detail)) : wrong(std::move(detail));
  }
  void abandon() {
    *found_ = nullptr;
    if (child_) child_->abandon();
    child_.reset();
  }

  const core::ExecProbe probe_;
  boost::asio::io_context& loop_;
  std::shared_ptr<ChildRun> child_;
  std::shared_ptr<Found> found_ = std::make_shared<Found>();
};

}  // namespace

std::unique_ptr<ProbeRunner> make_exec(const core::ExecProbe& probe, const Tools& tools) {
  if (probe.command.empty()) {
    return make_blocking([] { return not_done("no command"); }, "command", tools);
  }
  return std::make_unique<ExecRunner>(probe, tools);
}

}  // namespace recover::adapters::probe
