# Puts playbooks/*.yaml into the room `config`, so that the built-in playbooks are always there.
file(GLOB playbooks CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/playbooks/*.yaml)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${playbooks})
set(rows "")
foreach(file ${playbooks})
  get_filename_component(id ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND rows "    {\"${id}\", R\"yaml(${text})yaml\"},\n")
endforeach()
file(CONFIGURE OUTPUT builtin_playbooks.cc @ONLY CONTENT
"// Made from playbooks/*.yaml by cmake/Playbooks.cmake.
#include \"config/builtin_playbooks.h\"

namespace recover::config {
namespace {

constexpr BuiltinPlaybook kPlaybooks[] = {
${rows}};

}  // namespace

std::span<const BuiltinPlaybook> builtin_playbooks() noexcept { return kPlaybooks; }

}  // namespace recover::config
")
target_sources(config PRIVATE ${CMAKE_CURRENT_BINARY_DIR}/builtin_playbooks.cc)
set_source_files_properties(${CMAKE_CURRENT_BINARY_DIR}/builtin_playbooks.cc
  PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
