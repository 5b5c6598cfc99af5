#!/usr/bin/env python3
"""Turns a terminal frame with ANSI colours into an SVG picture, for the documentation.

usage: tmux capture-pane -p -e -t PANE | terminal_svg.py [--title TEXT] [--columns N] > picture.svg
Knows SGR 0, 1, 2, 22, 30-37, 39, 90-97 and ignores backgrounds. Block elements are drawn as shapes,
so that bars line up in every font; every other character takes one column.
"""
import argparse
import re
import sys
from html import escape

CELL_W, CELL_H, FONT = 8.4, 19, 14
PAD, BAR = 16, 34  # Around the text; the title bar.
BACKGROUND, FRAME, PLAIN, DIM = "#0d1117", "#30363d", "#d1d7e0", "#7d8590"
COLOURS = {30: "#484f58", 31: "#ff7b72", 32: "#3fb950", 33: "#e3b341",
           34: "#6cb6ff", 35: "#d2a8ff", 36: "#56d4dd", 37: "#d1d7e0"}
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b[^m]*?[A-Za-z]|[\x0e\x0f]")


def styled(text):
    """Yields (character, colour, bold) for each cell of a frame, and None at each line end."""
    colour, dim, bold, at = None, False, False, 0
    while at < len(text):
        found = ESCAPE.match(text, at)
        if not found:
            yield None if text[at] == "\n" else (text[at], colour or (DIM if dim else PLAIN), bold)
            at += 1
            continue
        at = found.end()
        for code in map(int, (found[1] if found[1] is not None else "-1").split(";")
                        if found[1] != "" else ["0"]):
            if code == 0:
                colour, dim, bold = None, False, False
            elif code in (1, 2):
                bold, dim = bold or code == 1, dim or code == 2
            elif code == 22:
                bold = dim = False
            elif 30 <= code <= 37 or 90 <= code <= 97:
                colour = COLOURS[code % 10 + 30]
            elif code == 39:
                colour = None


def rows(text):
    """The frame as lists of cells, without the empty lines at its end."""
    lines = [[]]
    for cell in styled(text):
        if cell is None:
            lines.append([])
        else:
            lines[-1].append(cell)
    while lines and not any(c[0] != " " for c in lines[-1]):
        lines.pop()
    return lines


def rect(x, y, width, height, attributes):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" {attributes}/>'


def shape(character, x, y, colour):
    """A block element, box line or bullet as geometry; None for a character that is text."""
    fill = f'fill="{colour}"'
    if "▁" <= character <= "█":
        height = (CELL_H - 3) * (ord(character) - ord("▁") + 1) / 8
        return rect(x, y + CELL_H - 1 - height, CELL_W - 0.8, height, fill)
    if character == "■":
        return rect(x + 0.5, y + 5, CELL_W - 1.6, 9, f'rx="1" {fill}')
    if character == "□":
        return rect(x + 1, y + 5.5, CELL_W - 2.6, 8, f'rx="1" fill="none" stroke="{colour}"')
    if character == "─":
        return rect(x, y + CELL_H / 2 - 0.5, CELL_W, 1, fill)
    if character == "●":
        return f'<circle cx="{x + CELL_W / 2:.1f}" cy="{y + CELL_H / 2:.1f}" r="4" {fill}/>'
    return None


def words(cells):
    """Runs of text cells of one style as (column, text, colour, bold); blanks between are left out
    where there are two or more."""
    run = None
    for column, (character, colour, bold) in enumerate(cells + [("\0", "", False)]):
        joins = run and run[2:] == [colour, bold] and not shape(character, 0, 0, "")
        if joins and character != "\0" and not (character == " " and run[1].endswith(" ")):
            run[1] += character
            continue
        if run and run[1].strip():
            yield run[0], run[1].rstrip(), run[2], run[3]
        plain = character not in " \0" and not shape(character, 0, 0, "")
        run = [column, character, colour, bold] if plain else None


def drawn_row(cells, y):
    for column, (character, colour, _) in enumerate(cells):
        geometry = shape(character, PAD + column * CELL_W, y, colour)
        if geometry:
            yield geometry
    for column, text, colour, bold in words(cells):
        weight = ' font-weight="bold"' if bold else ""
        yield (f'<text x="{PAD + column * CELL_W:.1f}" y="{y + CELL_H - 5:.1f}" fill="{colour}"'
               f'{weight} textLength="{len(text) * CELL_W:.1f}">{escape(text)}</text>')


def picture(lines, title, columns):
    width = columns * CELL_W + 2 * PAD
    height = len(lines) * CELL_H + BAR + 2 * PAD
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
           f'width="{width:.0f}" height="{height:.0f}" role="img" aria-label="{escape(title)}" '
           f'font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"'
           f' font-size="{FONT}" xml:space="preserve">')
    yield rect(0.5, 0.5, width - 1, height - 1, f'rx="8" fill="{BACKGROUND}" stroke="{FRAME}"')
    for number, colour in enumerate(("#ff5f57", "#febc2e", "#28c840")):
        yield f'<circle cx="{PAD + 6 + number * 18}" cy="{BAR / 2 + 2:.0f}" r="5.5" fill="{colour}"/>'
    yield (f'<text x="{width / 2:.0f}" y="{BAR / 2 + 7:.0f}" fill="{DIM}" text-anchor="middle">'
           f"{escape(title)}</text>")
    for number, cells in enumerate(lines):
        yield from drawn_row(cells, BAR + PAD / 2 + number * CELL_H)
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--title", default="")
    parser.add_argument("--columns", type=int, default=80)
    options = parser.parse_args()
    lines = rows(sys.stdin.read())
    print("\n".join(picture(lines, options.title, options.columns)))


if __name__ == "__main__":
    main()
