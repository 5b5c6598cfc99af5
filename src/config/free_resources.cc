#include "config/free_resources.h"

#include <utility>

#include "config/action_tables.h"
#include "config/table.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

const Table<FreeResources>& free_resources_table() {
  static const auto kTable =
      Table<FreeResources>("free_resources: several ways to free, one after the other.")
          .add("files", clean_files_shape(), "As clean_files takes it.",
               [](Reader& reader, const Entry& entry, FreeResources& free) {
                 free.files = read_clean_files(reader, entry.value);
               })
          .add("queries", kill_long_queries_shape(), "As kill_long_queries takes it.",
               [](Reader& reader, const Entry& entry, FreeResources& free) {
                 free.queries = read_kill_long_queries(reader, entry.value);
               })
          .add("drop_caches", &FreeResources::drop_caches, flag(),
               "The kernel's clean page cache, too; needs root.");
  return kTable;
}

// Old files that are nobody's any more.
CleanFilesAction leftovers() {
  return {.roots = {"/tmp", "/var/tmp"},
          .globs = {"recoverd-*", "recoverd-*/**"},
          .older_than = hours{1},
          .larger_than = 0,
          .free_target = std::nullopt,
          .max_files = 10'000};
}

StepDraft part_of(const StepDraft& whole, const char* what, ActionKind action, ActionSpec with) {
  StepDraft part = whole;
  part.free_resources.reset();
  part.name = whole.name + what;
  part.action = action;
  part.with = std::move(with);
  part.on_failure = OnFailure::Continue;
  return part;
}

std::vector<StepDraft> parts_of(const StepDraft& step) {
  const FreeResources& free = *step.free_resources;
  std::vector<StepDraft> parts;
  if (free.files) {
    parts.push_back(part_of(step, ": files", ActionKind::CleanFiles, *free.files));
  }
  if (free.queries) {
    parts.push_back(part_of(step, ": queries", ActionKind::KillLongQueries, *free.queries));
  }
  if (free.drop_caches) {
    ExecAction drop;
    drop.command = {"sysctl", "-q", "-w", "vm.drop_caches=1"};
    parts.push_back(part_of(step, ": caches", ActionKind::Exec, std::move(drop)));
    if (!step.idempotent_given) parts.back().idempotent_given = true;  // Nothing is lost by it.
  }
  return parts;
}

}  // namespace

FreeResources read_free_resources(Reader& reader, const Node* with) {
  FreeResources free;
  if (with != nullptr) free_resources_table().apply(reader, *with, free);
  if (!free.files && !free.queries && !free.drop_caches) free.files = leftovers();
  return free;
}

std::vector<StepDraft> expanded(std::vector<StepDraft> steps) {
  std::vector<StepDraft> all;
  for (StepDraft& step : steps) {
    if (!step.free_resources) {
      all.push_back(std::move(step));
      continue;
    }
    for (StepDraft& part : parts_of(step)) all.push_back(std::move(part));
  }
  return all;
}

std::string free_resources_shape() {
  return free_resources_table().shape();
}

}  // namespace recover::config
