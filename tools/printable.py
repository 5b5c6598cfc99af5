#!/usr/bin/env python3
"""Writes src/backup/format/printable_table.h: the runes that restic writes into names as they are.

usage: printable.py > src/backup/format/printable_table.h
Go's unicode.IsPrint: categories L, M, N, P, S and the ASCII space, here of Python's Unicode version.
"""
import sys
import unicodedata


def is_printable(rune):
    return rune == 0x20 or unicodedata.category(chr(rune))[0] in "LMNPS"


def ranges():
    start = None
    for rune in range(sys.maxunicode + 2):
        inside = rune <= sys.maxunicode and is_printable(rune)
        if inside and start is None:
            start = rune
        elif not inside and start is not None:
            yield start, rune - 1
            start = None


print(f"""// Made by tools/printable.py from Unicode {unicodedata.unidata_version}; do not edit.
#pragma once

#include <cstdint>

namespace recover::backup {{

struct RuneRange {{
  std::uint32_t first;
  std::uint32_t last;
}};

// clang-format off
inline constexpr RuneRange kPrintable[] = {{""")
row = []
for first, last in ranges():
    row.append(f"{{0x{first:x}, 0x{last:x}}},")
    if len(row) == 5:
        print("    " + " ".join(row))
        row = []
if row:
    print("    " + " ".join(row))
print("""};
// clang-format on

}  // namespace recover::backup""")
