# What is proven outside the rooms: test/{integration,conformance,fuzz,bench} and docs examples.
# Each part is found by its file names, so adding a proof is adding a file.
set(test_dir ${PROJECT_SOURCE_DIR}/test)

if(RECOVER_TESTS OR RECOVER_DOCS OR RECOVER_ACCEPTANCE)
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
endif()

if(RECOVER_TESTS)
  add_test(NAME tidy.layers COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/layers.py
           ${PROJECT_SOURCE_DIR})
  add_test(NAME tidy.layers_self_test COMMAND Python3::Interpreter
           ${PROJECT_SOURCE_DIR}/tools/layers.py --self-test)

  file(GLOB integration CONFIGURE_DEPENDS ${test_dir}/integration/*_test.cc)
  add_suites(integration_test ${integration} DEPS recover::recover)
endif()

# replay VECTORS.json...: the behaviour shared with other implementations.
file(GLOB replay CONFIGURE_DEPENDS ${test_dir}/conformance/*.cc)
if(RECOVER_TESTS AND replay AND NOT RECOVER_THREADS_ONLY)
  find_package(nlohmann_json REQUIRED)
  add_executable(replay ${replay})
  target_link_libraries(replay PRIVATE recover::recover nlohmann_json::nlohmann_json)
  target_precompile_headers(replay PRIVATE <nlohmann/json.hpp>)
  set_target_properties(replay PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test/conformance)
  file(GLOB vectors CONFIGURE_DEPENDS ${test_dir}/conformance/vectors/*.json)
  # A vector with one wrong expectation: the replay must say which step, and exit with 1.
  set(must_fail ${test_dir}/conformance/vectors/must_fail.json)
  list(REMOVE_ITEM vectors ${must_fail})
  add_test(NAME conformance.must_fail COMMAND replay ${must_fail})
  add_test(NAME conformance.must_fail_says_where COMMAND replay ${must_fail})
  set_tests_properties(conformance.must_fail PROPERTIES WILL_FAIL TRUE)
  set_tests_properties(conformance.must_fail_says_where PROPERTIES
    PASS_REGULAR_EXPRESSION "MUSTFAIL FAIL: step 3 expected state=closed got open")
  foreach(file ${vectors})
    get_filename_component(name ${file} NAME_WE)
    add_test(NAME conformance.${name} COMMAND replay ${file})
  endforeach()
endif()

# A fuzz target is a libFuzzer executable in the fuzz preset. Everywhere else the same file is a
# test that feeds it the corpus and 2000 inputs made from a seed.
if(RECOVER_TESTS AND NOT RECOVER_THREADS_ONLY)
  add_test(NAME fuzz_corpus COMMAND Python3::Interpreter ${test_dir}/fuzz/corpus/make.py --check)
endif()
file(GLOB fuzzers CONFIGURE_DEPENDS ${test_dir}/fuzz/*_fuzz.cc)
foreach(file ${fuzzers})
  get_filename_component(name ${file} NAME_WE)
  string(REGEX REPLACE "_fuzz$" "" room ${name})
  if((EXISTS ${PROJECT_SOURCE_DIR}/src/${room} OR EXISTS ${PROJECT_SOURCE_DIR}/src/apps/${room})
     AND NOT TARGET ${room})
    continue()  # Named after a room that is not built here.
  endif()
  if(RECOVER_FUZZ)
    add_executable(${name} ${file})
    target_link_options(${name} PRIVATE -fsanitize=fuzzer)
  elseif(RECOVER_TESTS AND NOT RECOVER_THREADS_ONLY)
    add_executable(${name} ${file} ${test_dir}/fuzz/smoke_main.cc)
    add_test(NAME fuzz_smoke.${name} COMMAND ${name} ${test_dir}/fuzz/corpus/${name})
  else()
    continue()
  endif()
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE recover::recover)
  if(TARGET ${room}_parts)  # A target named after an app gets its parts,
    target_link_libraries(${name} PRIVATE ${room}_parts)
  elseif(TARGET ${room})  # one named after a room that room.
    target_link_libraries(${name} PRIVATE ${room})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/test/fuzz)
endforeach()

file(GLOB benches CONFIGURE_DEPENDS ${test_dir}/bench/*_bench.cc)
if((RECOVER_BENCH OR RECOVER_LINT) AND benches)
  find_package(benchmark REQUIRED)
  add_executable(bench_recover ${benches} ${test_dir}/allocations.cc)
  target_include_directories(bench_recover PRIVATE ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(bench_recover PRIVATE recover::recover core journal
                        benchmark::benchmark_main)
  add_executable(bench_restart ${test_dir}/bench/restart.cc)
  target_link_options(bench_restart PRIVATE -static)  # So that the child costs as little as one can.
  add_executable(bench_probed ${test_dir}/bench/probed.cc)
  add_executable(bench_figures ${test_dir}/bench/figures.cc)
  target_link_libraries(bench_figures PRIVATE recover::recover)
  add_executable(bench_corpus ${test_dir}/bench/corpus.cc)
  target_compile_features(bench_corpus PRIVATE cxx_std_20)
  add_executable(bench_checkpoint ${test_dir}/bench/checkpoint.cc)
  target_include_directories(bench_checkpoint PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(bench_checkpoint PRIVATE adapters_checkpoint)
  set_target_properties(bench_recover bench_figures bench_restart bench_probed bench_corpus bench_checkpoint
                        PROPERTIES EXCLUDE_FROM_ALL ${RECOVER_LINT})
endif()

# The issue's acceptance, on a real recoverd with real servers; one CTest test a file.
if(RECOVER_ACCEPTANCE AND RECOVER_DAEMON)
  file(GLOB acceptance CONFIGURE_DEPENDS ${test_dir}/acceptance/*.py)
  list(REMOVE_ITEM acceptance ${test_dir}/acceptance/harness.py)
  foreach(file ${acceptance})
    get_filename_component(name ${file} NAME_WE)
    add_test(NAME acceptance.${name} COMMAND Python3::Interpreter -B ${file})
    set_tests_properties(acceptance.${name} PROPERTIES TIMEOUT 600 LABELS acceptance
      ENVIRONMENT RECOVERD_BIN=$<TARGET_FILE_DIR:recoverd>)
  endforeach()
endif()

# Every ```cpp block of the documentation is a program; it must compile and exit with 0.
if(RECOVER_DOCS)
  file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md
       ${PROJECT_SOURCE_DIR}/docs/primitives/*.md)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${pages})
  execute_process(COMMAND ${Python3_EXECUTABLE} ${PROJECT_SOURCE_DIR}/tools/doc_examples.py
                          ${CMAKE_BINARY_DIR}/docs ${pages}
                  OUTPUT_VARIABLE examples OUTPUT_STRIP_TRAILING_WHITESPACE
                  COMMAND_ERROR_IS_FATAL ANY)
  foreach(file ${examples})
    get_filename_component(name ${file} NAME_WE)
    add_executable(docs_${name} ${file})
    target_link_libraries(docs_${name} PRIVATE recover::recover)
    set_target_properties(docs_${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/docs)
    add_test(NAME docs.${name} COMMAND docs_${name})
    set_tests_properties(docs.${name} PROPERTIES TIMEOUT 30)
  endforeach()
endif()

# Every ```yaml block of the documentation that is a configuration or a playbook must be clean.
if(RECOVER_DOCS AND TARGET recoverd)
  file(GLOB manuals CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/README.md ${PROJECT_SOURCE_DIR}/docs/*.md)
  add_test(NAME docs.yaml COMMAND Python3::Interpreter ${PROJECT_SOURCE_DIR}/tools/doc_yaml.py
           $<TARGET_FILE:recoverd> ${manuals})
  set_tests_properties(docs.yaml PROPERTIES TIMEOUT 300)
endif()
