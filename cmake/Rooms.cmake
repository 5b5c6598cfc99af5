# A room is a folder of src/, a namespace, a static library, its tests and a link test.
#
# Every header must compile on its own. tools/layers.py makes x.cc include x.h first, so compiling
# x.cc proves x.h (the dev preset compiles each file alone); what is left, public headers and those
# without a .cc, is compiled by the target all_verify_interface_header_sets.

# add_room(name [LIBRARY lib] [THREADS] [DEPS target...])
# A slash in the name (adapters/process) is a folder in src/ and an underscore in target names.
# LIBRARY makes the room a public library: its headers are include/<lib>/*.h, it is installed as
# <lib>::<lib>, and inside the house it answers to both names. THREADS labels all its tests `threads`.
function(add_room name)
  cmake_parse_arguments(arg "THREADS" "LIBRARY" "DEPS" ${ARGN})
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
  if(NOT arg_LIBRARY)
    string(REGEX REPLACE "\\.cc(;|$)" ".h\\1" proven "${sources}")
    list(REMOVE_ITEM headers ${proven})
  endif()
  list(FILTER headers EXCLUDE REGEX "_test\\.h$")  # what only tests include, they prove

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
    if(sources AND RECOVER_LINK_TESTS)
      add_link_test(${room} ${target})
    endif()
    set(threads "")
    if(arg_THREADS)
      set(threads THREADS)
    endif()
    add_suites(${room}_test ${tests} ${threads} DEPS ${target})
  endif()
endfunction()

# Every symbol of the room must resolve from the DEPS it declared, and from nothing else.
function(add_link_test name target)
  file(CONFIGURE OUTPUT link_main.cc CONTENT "int main() {}\n")
  add_executable(${name}_linktest ${CMAKE_CURRENT_BINARY_DIR}/link_main.cc)
  target_link_libraries(${name}_linktest PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${target}>")
  add_test(NAME link.${name} COMMAND ${name}_linktest)
endfunction()

# What every test executable shares: the allocation counter, and one precompiled header with the two
# test frameworks, which are most of what a test file compiles.
function(add_test_frame)
  if(TARGET test_frame)
    return()
  endif()
  add_library(test_frame OBJECT ${PROJECT_SOURCE_DIR}/test/allocations.cc)
  target_compile_features(test_frame PUBLIC cxx_std_20)
  target_include_directories(test_frame PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_link_libraries(test_frame PRIVATE GTest::gtest rapidcheck)
  target_precompile_headers(test_frame PRIVATE <gtest/gtest.h> <rapidcheck/gtest.h>
    <algorithm> <chrono> <functional> <map> <optional> <string> <thread> <vector>)
endfunction()

# add_suites(executable files... [THREADS] DEPS target...): one GoogleTest executable for all the
# files, each of its tests a CTest test. Suites named *Stress* or *Threads*, and all of an executable
# with THREADS, get the label `threads`: those are what the tsan preset runs.
# The target `suites` is all these executables and what they need.
function(add_suites executable)
  cmake_parse_arguments(arg "THREADS" "" "DEPS" ${ARGN})
  set(files ${arg_UNPARSED_ARGUMENTS})
  if(RECOVER_THREADS_ONLY AND NOT arg_THREADS)
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
  add_test_frame()
  if(NOT TARGET suites)
    add_custom_target(suites)
  endif()
  add_dependencies(suites ${executable})
  add_executable(${executable} ${files} $<TARGET_OBJECTS:test_frame>)
  target_link_libraries(${executable} PRIVATE ${arg_DEPS} GTest::gtest_main rapidcheck)
  target_include_directories(${executable} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR})
  target_precompile_headers(${executable} REUSE_FROM test_frame)
  # Tests of one room name their fixtures alike: never compiled as one file.
  set_target_properties(${executable} PROPERTIES UNITY_BUILD OFF)
  # A fixed RapidCheck seed: a red CI is red again on the next run.
  # The timeout ends only what hangs: the simulator under ASan takes minutes on a busy machine.
  string(REPLACE "_test" "." prefix ${executable})
  set(properties TIMEOUT 300 ENVIRONMENT RC_PARAMS=seed=1)
  set(threads "*Stress*.*:*Threads*.*")
  if(arg_THREADS)
    set(threads "*")
  else()
    gtest_discover_tests(${executable} TEST_FILTER "-${threads}" TEST_PREFIX ${prefix}
      NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
  endif()
  gtest_discover_tests(${executable} TEST_FILTER "${threads}" TEST_PREFIX ${prefix}
    NO_PRETTY_VALUES DISCOVERY_TIMEOUT 60 PROPERTIES ${properties} LABELS threads)
endfunction()
