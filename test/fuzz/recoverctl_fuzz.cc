// Bytes are the file of a mirror: whatever they are, reading it ends, with members of which none is
// empty or twice there, or with a refusal that names the file.
#include <cstddef>
#include <cstdint>
#include <set>
#include <string>

#include "apps/recoverctl/failure.h"
#include "apps/recoverctl/mirror_file.h"
#include "script.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using recover::test::require;
  const std::string text(reinterpret_cast<const char*>(data), size);
  try {
    const auto file = recover::apps::parse_mirror_file("/m.yaml", text);
    std::set<std::string> names;
    for (const auto& member : file.members) {
      require(!member.repository.empty(), "a member has a repository");
      require(names.insert(member.name).second, "no member is there twice");
    }
    require(!names.empty(), "a mirror has members");
  } catch (const recover::apps::Failure& failure) {
    require(std::string(failure.what()).find("/m.yaml") != std::string::npos, "it names the file");
  }
  return 0;
}
