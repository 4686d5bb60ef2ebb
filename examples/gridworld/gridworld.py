"""A robot in a small room learns to walk by example, and each demonstration is counted in bits before it is taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from saqiya import Lesson, PolicySpec, Stream
from saqiya.domain.contracts import RunnablePolicy, Vector
from saqiya.measure.bits import epistemic_bits
from saqiya.train.ensemble import Ensemble

Cell = tuple[int, int]  # column from the left, row from the top
Way = list[Cell]  # the cells in which somebody made a move, in order

ROOM = """
. . . . . . . . .
. . . . . . . . .
. . # # # # # . .
. . . . . . # . .
. S . . . . # . G
. . . . . . # . .
. . . . . . # . .
"""
MOVES: Mapping[str, Cell] = {"right": (1, 0), "up": (0, -1), "down": (0, 1), "left": (-1, 0)}
SETTINGS = {"members": 8.0, "width": 64.0, "layers": 2.0, "steps": 300.0, "rate": 3e-3}
NOISE = np.array([0.25, 0.25])
"""What a hand on a joystick is off by, where a whole move is 1."""

_LINES = [line.split() for line in ROOM.strip().splitlines()]
WIDE, HIGH = len(_LINES[0]), len(_LINES)
_SIGNS = {(x, y): sign for y, line in enumerate(_LINES) for x, sign in enumerate(line)}
FREE = frozenset(cell for cell, sign in _SIGNS.items() if sign != "#")
START = next(cell for cell, sign in _SIGNS.items() if sign == "S")
GOAL = next(cell for cell, sign in _SIGNS.items() if sign == "G")
SPEC = PolicySpec(observation={"seen": WIDE * HIGH}, action=2, rate_hz=1.0, chunk=1, execute=1, embodiment="walker")
BLUR_CELLS = 1.0
"""How far the robot's sense of place reaches, as the standard deviation of a bell."""
CORNER: Cell = (0, 0)
USUAL = (START, CORNER, START, CORNER, START)
"""Where the five usual demonstrations begin: two, and then the same again."""
CORRECTIONS_N = 2


def seen(way: Way) -> Vector:
    """Return what the robot sees in each cell, float64 (t, cells): how near it is to each cell of the room."""
    everywhere = np.array(sorted(_SIGNS), np.float64)
    apart = np.array(way, np.float64)[:, None] - everywhere
    return np.exp(-0.5 * (apart**2).sum(axis=2) / BLUR_CELLS**2)


def moved(cell: Cell, move: str) -> Cell:
    """Return where a move leads; a wall or an obstacle holds the robot where it is."""
    after = cell[0] + MOVES[move][0], cell[1] + MOVES[move][1]
    return after if after in FREE else cell


def _distances() -> dict[Cell, int]:
    far, edge = {GOAL: 0}, [GOAL]
    for cell in edge:
        for move in MOVES:
            after = moved(cell, move)
            if after not in far:
                far[after] = far[cell] + 1
                edge.append(after)
    return far


FAR = _distances()
"""Moves to the goal on the shortest way."""


def optimal(cell: Cell) -> list[str]:
    """Return the moves that are on a shortest way from here."""
    return [move for move in MOVES if FAR[moved(cell, move)] < FAR[cell]]


def demonstration(start: Cell) -> Way:
    """Return the cells of a shortest way to the goal; of two equal moves an expert takes always the same."""
    way = [start]
    while way[-1] != GOAL:
        way.append(moved(way[-1], optimal(way[-1])[0]))
    return way[:-1]  # at the goal there is nothing to do


def taught(ways: Sequence[Way], *, seed: int, steps: float = SETTINGS["steps"]) -> RunnablePolicy:
    """Train the policy, eight small networks that go from what is seen to a move, on demonstrations."""
    lessons = []
    for index, way in enumerate(ways):
        moves = np.array([MOVES[optimal(cell)[0]] for cell in way], np.float64)
        lessons.append(Lesson(seen(way), moves, np.ones(len(way)), index))
    trainer = Ensemble()
    trained = trainer.fit(lessons, SPEC, settings={**SETTINGS, "steps": steps}, seed=seed, progress=lambda *_: None)
    return trainer.load(trained.spec, trained.tensors)


def bits(policy: RunnablePolicy, way: Way) -> float:
    """Return what a demonstration would tell this policy, in bits: Saqiya's own measure."""
    t_ns = np.arange(len(way), dtype=np.int64) * 1_000_000_000
    streams = {"observation/seen": Stream(t_ns, seen(way))}
    return epistemic_bits(policy, streams, action_range=np.array([2.0, 2.0]), noise=NOISE).total


def chosen(policy: RunnablePolicy) -> dict[Cell, str]:
    """Return the policy's move in each cell: the one that its mean action points along most."""
    moves = {}
    for cell in sorted(FREE - {GOAL}):
        x, y = policy.act({"seen": seen([cell])[0]}).chunk[0]
        moves[cell] = max(MOVES, key=lambda move: x * MOVES[move][0] + y * MOVES[move][1])
    return moves


def wrong(moves: Mapping[Cell, str]) -> list[Cell]:
    """Return the cells in which the move is on no shortest way."""
    return [cell for cell, move in moves.items() if move not in optimal(cell)]


@dataclass(frozen=True)
class Chapter:
    """A demonstration that was taught: its way, what it held before that, and the policy's moves after it."""

    way: Way
    bits: float
    moves: Mapping[Cell, str]

    @property
    def wrong(self) -> list[Cell]:
        """The cells in which the policy is wrong after it."""
        return wrong(self.moves)


def story(seed: int = 0) -> list[Chapter]:
    """Teach two usual demonstrations, the same three times more, and then corrections where the policy is wrong.

    The first two are taught together, and counted under networks that were trained for one step only. A correction
    begins in the wrong cell from which it holds the most bits.
    """
    ways = [demonstration(start) for start in USUAL[:2]]
    empty, policy = taught(ways, seed=seed, steps=1), taught(ways, seed=seed)
    told = [Chapter(way, bits(empty, way), chosen(policy)) for way in ways]
    for index in range(2, len(USUAL) + CORRECTIONS_N):
        starts = USUAL[index : index + 1] or told[-1].wrong
        way = max((demonstration(start) for start in starts), key=partial(bits, policy))
        held = bits(policy, way)
        ways.append(way)
        policy = taught(ways, seed=seed)
        told.append(Chapter(way, held, chosen(policy)))
    return told


def longest_first(n: int) -> list[Way]:
    """Return what the dumb rival asks for: the longest demonstrations there are, each once."""
    return [demonstration(start) for start in sorted(FREE - {GOAL}, key=lambda cell: (-FAR[cell], cell))[:n]]


def wrong_after(extra: Sequence[Way], seed: int = 0) -> int:
    """Return the number of wrong cells when the five usual demonstrations and these are taught."""
    return len(wrong(chosen(taught([*map(demonstration, USUAL), *extra], seed=seed))))
