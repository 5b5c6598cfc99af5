#!/usr/bin/env python3
"""Writes every ```cpp block of the given Markdown pages to OUT/<page>_<n>.cc.

usage: doc_examples.py OUT PAGE.md...    Prints the files as one CMake list.
A #line directive makes the compiler name the page and line. Unchanged files keep their time.
"""
import pathlib
import re
import sys

BLOCK = re.compile(r"^```cpp\n(.*?)^```", re.MULTILINE | re.DOTALL)


def programs(page):
    text = page.read_text()
    for number, block in enumerate(BLOCK.finditer(text), 1):
        line = text.count("\n", 0, block.start(1)) + 1
        name = f"{page.stem.lower()}_{number}.cc"
        yield name, f'#line {line} "{page.resolve()}"\n{block[1]}'


def main(out, pages):
    out.mkdir(parents=True, exist_ok=True)
    wanted = {out / name: code for page in pages for name, code in programs(page)}
    for path in set(out.glob("*.cc")) - set(wanted):
        path.unlink()
    for path, code in wanted.items():
        if not path.exists() or path.read_text() != code:
            path.write_text(code)
    print(";".join(str(path) for path in sorted(wanted)))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), [pathlib.Path(p) for p in sys.argv[2:] if pathlib.Path(p).exists()])
