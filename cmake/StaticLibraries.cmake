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
