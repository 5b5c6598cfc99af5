// Bytes are a configuration file, and a playbook file after the first NUL: whatever they are,
// loading ends, every mistake has a place, and no secret's value is among what is kept or said.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>

#include "config/diff.h"
#include "config/load.h"
#include "config/memory_files.h"
#include "script.h"

namespace recover::config {
namespace {

using test::require;

constexpr const char* kCanary = "kept-to-itself-42";

void check(const std::string& text, const std::string& playbook) {
  MemoryFiles files(Texts{{"/c.yaml", text}, {"/p.yaml", playbook}, {"/s", kCanary}},
                    {{"S", kCanary}});
  const bool said_by_user = (text + playbook).find(kCanary) != std::string::npos;
  const auto loaded = load("/c.yaml", files);
  if (loaded) {
    require(diff(loaded->policy, loaded->policy).empty(), "a policy does not differ from itself");
    for (const auto& source : loaded->sources) {
      require(said_by_user || source.second.find(kCanary) == std::string::npos, "no secret kept");
    }
    return;
  }
  require(!loaded.error().empty(), "a refusal says why");
  for (const Mistake& mistake : loaded.error()) {
    require(!mistake.file.empty() && mistake.line >= 1 && mistake.column >= 1, "it has a place");
    require(!mistake.message.empty(), "it has a message");
    require(said_by_user || mistake.message.find(kCanary) == std::string::npos, "no secret said");
  }
}

// Pieces of files: bytes that choose among them reach deeper than bytes that must spell them.
constexpr const char* kPieces[] = {"\n",
                                   "  ",
                                   "- ",
                                   ": ",
                                   "{",
                                   "}",
                                   "[",
                                   "]",
                                   ", ",
                                   "\n  ",
                                   "\n    ",
                                   "\n      ",
                                   "&x ",
                                   "*x ",
                                   "services",
                                   "a",
                                   "run",
                                   "command",
                                   "systemd",
                                   "probes",
                                   "http",
                                   "url",
                                   "'${env:S}'",
                                   "'${file:/s}'",
                                   "depends_on",
                                   "playbooks",
                                   "include",
                                   "/p.yaml",
                                   "/c.yaml",
                                   "patterns",
                                   "id",
                                   "pattern",
                                   "recovery_actions",
                                   "timeout",
                                   "restart",
                                   "exec",
                                   "free_resources",
                                   "auto_recovery",
                                   "recovery",
                                   "mode",
                                   "automatic",
                                   "5s",
                                   "10MiB",
                                   "85%",
                                   "true",
                                   "9",
                                   "journal",
                                   "key",
                                   "state_dir",
                                   "playbook",
                                   "steps",
                                   "action",
                                   "clean_files",
                                   "with",
                                   "roots",
                                   "globs",
                                   "/tmp",
                                   "validation",
                                   "success_criteria",
                                   "service_running == true",
                                   "undo",
                                   "rollback",
                                   "triggers",
                                   "symptom",
                                   "process_crash",
                                   "\n---\n",
                                   "\"",
                                   "'",
                                   "$${",
                                   "instances",
                                   "scale",
                                   "min",
                                   "max",
                                   "monitoring",
                                   "levels",
                                   "warning",
                                   "prerequisites",
                                   "check",
                                   "error_rate < 1%",
                                   "environment"};

std::string assembled(const std::uint8_t* data, std::size_t size) {
  std::string text;
  for (std::size_t i = 0; i < size; ++i) text += kPieces[data[i] % std::size(kPieces)];
  return text;
}

}  // namespace
}  // namespace recover::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const std::size_t cut = text.find('\0');
  const std::string head = text.substr(0, cut);
  const std::string tail = cut == std::string::npos ? std::string() : text.substr(cut + 1);
  // Both as they are only now and then: each load also reads the built-in playbooks.
  if (size % 8 == 0) {
    recover::config::check(head, tail);
  } else {
    recover::config::check("version: 1\nplaybooks: [/p.yaml]\n" + head, tail);
  }
  const std::string made = recover::config::assembled(data, size);
  recover::config::check("version: 1\n" + made, "playbook: p\n" + made);
  return 0;
}
