# How this project compiles itself: the language, the warnings, ccache when there is one.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON)  # Target all_verify_interface_header_sets.
# -pthread for all alike: a precompiled header is good only for files with the same flags.
add_compile_options(-pthread -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wswitch-enum)

# Depend mode: no extra preprocessor run on a miss. The rest is what precompiled headers need so that
# ccache may still cache the files that use them.
find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_DEPEND=1
      CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fpch-preprocess)
  else()
    add_compile_options("SHELL:-Xclang -fno-pch-timestamp")
  endif()
endif()

enable_testing()
