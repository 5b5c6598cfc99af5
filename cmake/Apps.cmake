# An app is a folder of src/apps/: everything but main.cc is a library its tests link, main.cc makes
# the executable of that name.

# add_app(name DEPS target...)
function(add_app name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/apps/${name}/*.cc
       ${PROJECT_SOURCE_DIR}/src/apps/${name}/*/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  add_library(${name}_parts STATIC ${sources})
  target_compile_features(${name}_parts PUBLIC cxx_std_20)
  target_include_directories(${name}_parts PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name}_parts PUBLIC ${arg_DEPS})
  target_compile_definitions(${name}_parts PUBLIC RECOVER_VERSION="${PROJECT_VERSION}")
  add_executable(${name} ${PROJECT_SOURCE_DIR}/src/apps/${name}/main.cc)
  target_link_libraries(${name} PRIVATE ${name}_parts)
  if(RECOVER_TESTS AND tests)
    add_suites(${name}_test ${tests} DEPS ${name}_parts)
    if(TARGET ${name}_test)
      target_compile_definitions(${name}_test PRIVATE APP_UNDER_TEST="$<TARGET_FILE:${name}>")
      add_dependencies(${name}_test ${name})
    endif()
  endif()
endfunction()

# recoverd's keeper as a program without libraries, beside recoverd: statically linked, so that it
# takes a tenth of a MiB where recoverd's own image takes several. A sanitizer wants to be shared:
# without the program, recoverd keeps itself.
function(add_keeper)
  if(CMAKE_CXX_FLAGS MATCHES "sanitize")
    return()
  endif()
  set(process ${PROJECT_SOURCE_DIR}/src/adapters/process)
  add_executable(recoverd_keeper ${PROJECT_SOURCE_DIR}/src/apps/keeper/main.cc
    ${process}/keeper.cc ${process}/keeper_handover.cc ${process}/keeper_message.cc
    ${process}/proc_file.cc)
  target_compile_features(recoverd_keeper PRIVATE cxx_std_20)
  target_include_directories(recoverd_keeper PRIVATE ${PROJECT_SOURCE_DIR}/src
    ${PROJECT_SOURCE_DIR}/include)
  target_compile_options(recoverd_keeper PRIVATE -ffunction-sections -fdata-sections)
  target_link_options(recoverd_keeper PRIVATE -static -Wl,--gc-sections)
  set_target_properties(recoverd_keeper PROPERTIES OUTPUT_NAME recoverd-keeper UNITY_BUILD OFF)
  add_dependencies(recoverd recoverd_keeper)
endfunction()
