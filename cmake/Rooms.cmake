# A room is a folder of src/, a namespace, a static library, its tests and a link test.

# add_room(name [LIBRARY lib] [DEPS target...])
# A slash in the name (adapters/process) is a folder in src/ and an underscore in target names.
# LIBRARY makes the room a public library: its headers are include/<lib>/*.h, it is installed as
# <lib>::<lib>, and inside the house it answers to both names.
function(add_room name)
  cmake_parse_arguments(arg "" "LIBRARY" "DEPS" ${ARGN})
  string(REPLACE "/" "_" room ${name})
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  if(arg_LIBRARY)
    set(target ${arg_LIBRARY})
    set(base ${PROJECT_SOURCE_DIR}/include)
    set(folder ${base}/${arg_LIBRARY})
  else()
    set(target ${room})
    set(base ${PROJECT_SOURCE_DIR}/src)
    set(folder ${base}/${name})
  endif()
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${folder}/*.h)

  if(sources)
    set(scope PUBLIC)
    add_library(${target} STATIC ${sources})
  else()
    set(scope INTERFACE)
    add_library(${target} INTERFACE)
  endif()
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS ${base} FILES ${headers})
  target_compile_features(${target} ${scope} cxx_std_20)
  target_link_libraries(${target} ${scope} ${arg_DEPS})
  if(arg_LIBRARY)
    add_library(${target}::${target} ALIAS ${target})
    add_library(${room} ALIAS ${target})
  endif()
  if(sources)
    target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  endif()

  if(RECOVER_TESTS)
    if(sources)
      add_link_test(${room} ${target})
    endif()
    add_suites(${room}_test ${tests} DEPS ${target})
  endif()
endfunction()

# Every symbol of the room must resolve from the DEPS it declared, and from nothing else.
function(add_link_test name target)
  file(CONFIGURE OUTPUT link_main.cc CONTENT "int main() {}\n")
  add_executable(${name}_linktest ${CMAKE_CURRENT_BINARY_DIR}/link_main.cc)
  target_link_libraries(${name}_linktest PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${target}>")
  add_test(NAME link.${name} COMMAND ${name}_linktest)
endfunction()

# add_suites(executable files... DEPS target...): one GoogleTest executable for all the files, each
# of its tests a CTest test. Suites named *Stress* or *Threads* get the label `threads`: those are
# what the tsan preset runs.
function(add_suites executable)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  set(files ${arg_UNPARSED_ARGUMENTS})
  if(RECOVER_THREADS_ONLY)
    foreach(file ${files})
      file(STRINGS ${file} suite REGEX "\\(.*(Stress|Threads)" LIMIT_COUNT 1)
      if(NOT suite)
        list(REMOVE_ITEM files ${file})
      endif()
    endforeach()
  endif()
  if(NOT files)
    return()
  endif()
  find_package(GTest REQUIRED)
  find_package(rapidcheck REQUIRED)
  include(GoogleTest)
  add_executable(${executable} ${files} ${PROJECT_SOURCE_DIR}/test/allocations.cc)
  target_link_libraries(${executable} PRIVATE ${arg_DEPS} GTest::gtest_main rapidcheck)
  target_include_directories(${executable} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  # The two test frameworks are most of what a test file compiles.
  target_precompile_headers(${executable} PRIVATE <gtest/gtest.h> <rapidcheck/gtest.h>
    <algorithm> <chrono> <functional> <map> <optional> <string> <thread> <vector>)
  # A fixed RapidCheck seed: a red CI is red again on the next run.
  string(REPLACE "_test" "." prefix ${executable})
  set(properties TIMEOUT 120 ENVIRONMENT RC_PARAMS=seed=1)
  set(threads "*Stress*.*:*Threads*.*")
  gtest_discover_tests(${executable} TEST_FILTER "-${threads}" TEST_PREFIX ${prefix}
    NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
  gtest_discover_tests(${executable} TEST_FILTER "${threads}" TEST_PREFIX ${prefix}
    NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES ${properties} LABELS threads)
endfunction()
