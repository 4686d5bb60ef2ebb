"""Draw the pictures of docs/gridworld.md and say its numbers: `python examples/gridworld/pictures.py FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from gridworld import (
    CORRECTIONS_N,
    FREE,
    GOAL,
    HIGH,
    MOVES,
    START,
    USUAL,
    WIDE,
    Cell,
    Chapter,
    Way,
    demonstration,
    longest_first,
    optimal,
    story,
    wrong_after,
)

PICTURE_PX, CELL_PX, EDGE = 390, 42, 6
INK, WALL, LINE, RED, DARK_RED, BLUE, ORANGE, GREY, GREEN = (
    "#1c2430", "#4a5361", "#d9dee5", "#f6b9ae", "#b3261e", "#1f5fae", "#c46a00", "#aab3bf", "#1b7f3b",
)  # fmt: skip
LABELS = ("1 from S", "2 from the corner", "3 from S again", "4 corner again", "5 from S again")


def svg(high: float, parts: Iterable[str]) -> str:
    """Return a picture on white, 390 px wide: as wide as a telephone."""
    size = f'width="{PICTURE_PX}" height="{high:g}"'
    font = 'font-family="Helvetica, Arial, sans-serif" font-size="15"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {PICTURE_PX} {high:g}" {font}>'
    return "\n".join([head, f'<rect {size} fill="#fff"/>', *parts, "</svg>", ""])


def text(x: float, y: float, words: str, *, fill: str = INK, anchor: str = "start", bold: bool = False) -> str:
    """Return words at a place."""
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}"{weight}>{words}</text>'


def room(left: float, top: float, size: float, red: Sequence[Cell] = ()) -> list[str]:
    """Return the floor, the obstacles, the wrong cells in red, and S and G where the cells are large enough."""
    parts = []
    for x in range(WIDE):
        for y in range(HIGH):
            fill = WALL if (x, y) not in FREE else RED if (x, y) in red else "#fff"
            place = f'x="{left + x * size:g}" y="{top + y * size:g}" width="{size:g}" height="{size:g}"'
            parts.append(f'<rect {place} fill="{fill}" stroke="{LINE}"/>')
    for name, cell in (("S", START), ("G", GOAL)):
        x, y = middle(cell, left, top, size)
        parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{size * 0.4:g}" fill="{INK}"/>')
        if size > 30:
            parts.append(text(x, y + 5.5, name, fill="#fff", anchor="middle", bold=True))
    return parts


def middle(cell: Cell, left: float, top: float, size: float) -> tuple[float, float]:
    """Return the middle of a cell in px."""
    return left + (cell[0] + 0.5) * size, top + (cell[1] + 0.5) * size


def walked(way: Way, left: float, top: float, size: float, *, colour: str, aside: float = 0.0) -> str:
    """Return the line of a demonstration, `aside` px beside the middle so that two can be told apart."""
    points = " ".join(
        f"{x + aside:g},{y - aside:g}" for x, y in (middle(cell, left, top, size) for cell in (*way, GOAL))
    )
    wide = max(2.5, size / 9)
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="{wide:g}" stroke-linejoin="round"/>'
    )


def arrow(cell: Cell, move: str, size: float, *, colour: str) -> str:
    """Return an arrow through the middle of a cell."""
    (x, y), (dx, dy) = middle(cell, EDGE, EDGE, size), MOVES[move]
    tip, neck, wide = size * 0.25, size * 0.11, size * 0.14
    points = [
        (x + dx * on - dy * by, y + dy * on + dx * by) for on, by in ((-tip, 0), (tip, 0), (neck, wide), (neck, -wide))
    ]
    tail, head, one, other = (f"{along:g} {across:g}" for along, across in points)
    return f'<path d="M{tail}L{head}M{one}L{head}L{other}" fill="none" stroke="{colour}" stroke-width="2.5"/>'


def mark(cell: Cell, move: str, size: float) -> str:
    """Return a green triangle at the side of a cell to which a right move leads."""
    (x, y), (dx, dy) = middle(cell, EDGE, EDGE, size), MOVES[move]
    tip, base, wide = size * 0.49, size * 0.34, size * 0.17
    corners = ((tip, 0.0), (base, wide), (base, -wide))
    points = " ".join(f"{x + dx * on - dy * by:g},{y + dy * on + dx * by:g}" for on, by in corners)
    return f'<polygon points="{points}" fill="{GREEN}"/>'


def shown_room() -> str:
    """Return the room with the two demonstrations."""
    ways = zip(USUAL[:2], (BLUE, ORANGE), (0.0, 7.0), strict=True)
    lines = [
        walked(demonstration(start), EDGE, EDGE, CELL_PX, colour=colour, aside=aside) for start, colour, aside in ways
    ]
    floor = room(EDGE, EDGE, CELL_PX)
    legend = [text(EDGE, 322, "blue: from S", fill=BLUE), text(115, 322, "orange: from the corner", fill=ORANGE)]
    return svg(334, [*floor[:-4], *lines, *floor[-4:], *legend])


def shown_policy(told: Chapter) -> str:
    """Return the policy's moves; where one is wrong the cell is red, and a mark tells a right one."""
    parts = room(EDGE, EDGE, CELL_PX, told.wrong)
    for cell, move in told.moves.items():
        if cell in told.wrong:
            parts.append(mark(cell, optimal(cell)[0], CELL_PX))
        if cell != START:
            parts.append(arrow(cell, move, CELL_PX, colour=DARK_RED if cell in told.wrong else INK))
    said = f"Arrow: the policy. {len(told.wrong)} of {len(told.moves)} are wrong (red)."
    return svg(344, [*parts, text(EDGE, 320, said), text(EDGE, 338, "Green: a shortest way.", fill=GREEN)])


def shown_bits(told: Sequence[Chapter]) -> str:
    """Return a bar of bits and a bar of steps for each demonstration."""
    parts, most = [], max(*(one.bits for one in told), *(len(one.way) for one in told))
    for index, one in enumerate(told):
        y, correction = 34 + index * 42 + (14 if index >= len(USUAL) else 0), index >= len(USUAL)
        label = f"correction {index - len(USUAL) + 1}" if correction else LABELS[index]
        parts.append(text(6, y + 17, label, fill=DARK_RED if correction else INK, bold=correction))
        for top, value, fill, words in (
            (0, one.bits, BLUE, f"{one.bits:.0f}"),
            (15, len(one.way), GREY, str(len(one.way))),
        ):
            long = 200 * value / most
            parts.append(f'<rect x="142" y="{y + top:g}" width="{long:.1f}" height="13" fill="{fill}"/>')
            parts.append(text(147 + round(long), y + top + 12, words, fill=fill if fill == BLUE else WALL))
    legend = [text(142, 20, "bits", fill=BLUE, bold=True), text(182, 20, "steps", fill=WALL, bold=True)]
    return svg(34 + len(told) * 42 + 20, [*legend, *parts])


def shown_after(told: Sequence[Chapter]) -> str:
    """Return what is wrong before the corrections and after each."""
    parts: list[str] = []
    for index, one in enumerate(told[len(USUAL) - 1 :]):
        left = EDGE + index * 129
        parts += room(left, EDGE, 13.3, one.wrong)
        if index:
            parts.append(walked(one.way, left, EDGE, 13.3, colour=BLUE))
        parts.append(text(left, 122, f"{len(one.wrong)} wrong", fill=DARK_RED, bold=True))
        parts.append(text(left, 141, f"correction {index}" if index else "before"))
    return svg(150, parts)


def main(folder: Path) -> None:
    """Write the pictures and say the numbers."""
    told = story()
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "room": shown_room(),
        "policy": shown_policy(told[1]),
        "bits": shown_bits(told),
        "after": shown_after(told),
    }
    for name, picture in pictures.items():
        (folder / f"gridworld-{name}.svg").write_text(picture, encoding="utf-8")
    for index, one in enumerate(told):
        label = LABELS[index] if index < len(USUAL) else f"correction {index - len(USUAL) + 1}"
        wrong = f"{len(one.wrong):2d} wrong" if index else ""
        print(f"{label:18s} {len(one.way):2d} steps  {one.bits:5.1f} bits  {wrong}".rstrip())
    for name, extra in (
        ("same again", [demonstration(start) for start in USUAL[1:4]]),
        ("longest first", longest_first(3)),
    ):
        print(f"{name}: {sum(map(len, extra))} steps, {wrong_after(extra)} wrong")
    spent = sum(len(one.way) for one in told[-CORRECTIONS_N:])
    print(f"corrections: {spent} steps, {len(told[-1].wrong)} wrong")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
