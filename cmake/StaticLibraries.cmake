# RECOVER_STATIC: the daemon's libraries linked into it, so that it maps and relocates only what it
# uses: less memory, and an engine that is killed decides again sooner (docs/adr/0015). A library
# without an archive stays shared. libpq and libc always do.
if(RECOVER_STATIC)
  set(OPENSSL_USE_STATIC_LIBS ON)
  set(Boost_USE_STATIC_LIBS ON)
  find_library(SQLite3_LIBRARY NAMES libsqlite3.a)
  if(NOT SQLite3_LIBRARY)
    unset(SQLite3_LIBRARY CACHE)
  endif()
  find_library(EXPAT_LIBRARY NAMES libexpat.a)
  if(NOT EXPAT_LIBRARY)
    unset(EXPAT_LIBRARY CACHE)
  endif()
endif()

# After find_package: those that know no static variant of themselves.
function(use_static_libraries)
  if(NOT RECOVER_STATIC)
    return()
  endif()
  find_library(RECOVER_YAML_ARCHIVE NAMES libyaml-cpp.a)
  if(RECOVER_YAML_ARCHIVE)
    get_target_property(configurations yaml-cpp IMPORTED_CONFIGURATIONS)
    foreach(configuration ${configurations})
      set_target_properties(yaml-cpp PROPERTIES IMPORTED_LOCATION_${configuration} ${RECOVER_YAML_ARCHIVE})
    endforeach()
  endif()
  find_library(RECOVER_RE2_ARCHIVE NAMES libre2.a)
  if(RECOVER_RE2_ARCHIVE)
    set_target_properties(PkgConfig::RE2 PROPERTIES INTERFACE_LINK_LIBRARIES
      "${RECOVER_RE2_ARCHIVE};Threads::Threads")
  endif()
  add_link_options(-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,--as-needed)
endfunction()

# What runs when a service fails stands together in recoverd: an engine at rest that then restarts
# a service maps 64 KiB around each function it meets, which is megabytes where they are scattered.
# cmake/hot_functions.txt lists them, as tools/hot_functions finds them; what is not there any more
# is passed over. Only lld reads such a list.
function(order_hot_functions)
  find_program(RECOVER_LLD NAMES ld.lld ld.lld-14)
  if(NOT RECOVER_STATIC OR NOT RECOVER_LLD)
    return()
  endif()
  foreach(room ${ARGN})
    target_compile_options(${room} PRIVATE -ffunction-sections)
  endforeach()
  set(list ${PROJECT_SOURCE_DIR}/cmake/hot_functions.txt)
  target_link_options(recoverd PRIVATE -fuse-ld=lld
    -Wl,--symbol-ordering-file=${list},--no-warn-symbol-ordering)
  set_property(TARGET recoverd APPEND PROPERTY LINK_DEPENDS ${list})
endfunction()
