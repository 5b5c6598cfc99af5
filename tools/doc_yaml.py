#!/usr/bin/env python3
"""Checks every ```yaml block of the given Markdown pages with `recoverd check`.

usage: doc_yaml.py RECOVERD PAGE.md...    Exit 1 if a block has mistakes, named by page and line.
A block that starts with `version: 1` is a configuration, one that starts with `playbook:` a
playbook, which a minimal configuration lists. Other blocks are fragments and are left alone.
Every ${env:NAME} a block mentions is set.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.MULTILINE | re.DOTALL)
# Automatic, with a service: the linter then also asks for success criteria.
AROUND_PLAYBOOK = """version: 1
auto_recovery: {recovery: {mode: automatic}}
services: {web: {run: {command: [/bin/true]}}}
playbooks: [playbook.yaml]
"""
KNOWN = re.compile(r"(#.*\n)*(version: 1|playbook:)")
SECRET = re.compile(r"\$\{env:(\w+)\}")
TIMEOUT = 30  # Seconds for one check.


def written(folder, text):
    """Writes the files of a block; returns the configuration to check and the block's own file."""
    config = folder / "recoverd.yaml"
    if "version: 1" in KNOWN.match(text)[0]:
        config.write_text(text)
        return config, config
    playbook = folder / "playbook.yaml"
    playbook.write_text(text)
    config.write_text(AROUND_PLAYBOOK)
    return config, playbook


def mistakes(recoverd, text, page, line):
    """What `recoverd check` says, its places moved to those of the page."""
    with tempfile.TemporaryDirectory() as folder:
        config, own = written(pathlib.Path(folder), text)
        run = subprocess.run([recoverd, "check", "--config", config], capture_output=True,
                             text=True, timeout=TIMEOUT,
                             env=os.environ | {name: "secret" for name in SECRET.findall(text)})
        if run.returncode == 0:
            return []
        place = re.compile(r"^\S*?" + re.escape(own.name) + r":(\d+):", re.MULTILINE)
        moved = place.sub(lambda found: f"{page}:{line + int(found[1]) - 1}:", run.stdout)
        return [moved + run.stderr]


def main(recoverd, pages):
    checked = 0
    failed = []
    for page in pages:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if not KNOWN.match(block[1]):
                continue
            checked += 1
            line = text.count("\n", 0, block.start(1)) + 1
            failed += mistakes(recoverd, block[1], page, line)
    print("".join(failed), end="")
    print(f"{checked} blocks checked, {len(failed)} with mistakes")
    return 1 if failed or not checked else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], [pathlib.Path(page) for page in sys.argv[2:]]))
