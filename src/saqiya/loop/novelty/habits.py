"""Looks at the first demonstrations as they come in: who gave them, in which ways, and whether there are enough."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from saqiya.correct.habits import many_operators, mixed_strategies, round_count, two_ways
from saqiya.detect.stage import outcomes_of
from saqiya.domain.contracts import Vector
from saqiya.domain.nouns import Correction, Episode, Outcome, Source
from saqiya.errors import InvalidEpisode
from saqiya.models.conditions import STRATEGY_FACTORS
from saqiya.models.rows import EXECUTED, OBSERVATION, side_by_side, widths
from saqiya.models.starts import encode

if TYPE_CHECKING:
    from saqiya.loop.flywheel import Flywheel

__all__ = ["habits_of"]

ROWS_N = 40
"""Instants of a try that are compared, at equal shares of its length."""
REPEATS_N = 8
HELD_OUT = 0.2
FEWEST_N = 20
MOST_COLUMNS_N = 64
"""Of a stream that is compared: pictures are left out."""
MOST_N = 400
"""Demonstrations that the error is measured on, the newest; more change no figure that a warning rests on."""


def habits_of(wheel: Flywheel) -> tuple[str, ...]:
    """Say which of the known mistakes show in the demonstrations of the task; () where none does."""
    catalog = wheel.store.catalog
    refused = {one.episode for one in catalog.all(Correction) if not one.accepted}
    shown = [one for one in catalog.all(Episode) if one.source is Source.DEMONSTRATION and one.id not in refused]
    outcomes = outcomes_of(wheel.store, shown)
    task = wheel.config.task.name if wheel.turning else (shown[-1].task if shown else "")
    shown = [one for one in shown if one.task == task and outcomes[one.id] is not Outcome.FAILURE]
    operators = Counter(one.operator for one in shown if one.operator)
    found = [many_operators(operators) if operators else ""]
    said = wheel.pump.factors.known(shown).said
    words: Mapping[str, Counter[str]] = defaultdict(Counter)
    for one in said:
        for side in STRATEGY_FACTORS:
            if side in one and one[side].by not in {"suggested", "unread"}:
                words[side][one[side].value] += 1
    found += mixed_strategies(words)
    told = [(one, rows) for one in shown[-MOST_N:] if (rows := _rows(wheel, one)) is not None]
    usual = Counter(_widths(rows) for _, rows in told).most_common(1)
    alike = [(one, rows) for one, rows in told if _widths(rows) == usual[0][0]]
    if len(alike) >= FEWEST_N:
        lessons = [rows for _, rows in alike]
        found.append(_ways([one for one, _ in alike], [rows for rows, _ in lessons]))
        found.append(round_count(len(shown), *_held_out(lessons)) if len(shown) % 50 == 0 else "")
    return tuple(one for one in found if one)


def _rows(wheel: Flywheel, episode: Episode) -> tuple[Vector, Vector] | None:
    """Return what was seen and done at 40 instants, float64 (40, d) and (40, a); None where one was never known."""
    streams = wheel.store.streams(episode)
    names = [
        name
        for name, stream in sorted(streams.items())
        if name.startswith(OBSERVATION) and len(stream.t_ns) and stream.values[0].size <= MOST_COLUMNS_N
    ]
    if EXECUTED not in streams or not names:
        return None
    try:
        _, rows = side_by_side(streams, [*names, EXECUTED])
    except InvalidEpisode:
        return None
    at = np.linspace(0, len(rows) - 1, ROWS_N).round().astype(np.int64)
    seen, done = np.split(rows[at], [sum(widths(streams, names))], axis=1)
    return seen, done


def _widths(rows: tuple[Vector, Vector]) -> tuple[int, int]:
    return rows[0].shape[1], rows[1].shape[1]


def _ways(shown: Sequence[Episode], tries: Sequence[Vector]) -> str:
    rows = np.stack(tries)
    scale = rows.reshape(-1, rows.shape[-1]).std(axis=0)
    moves = scale > 1e-9
    starts = [one.start for one in shown if one.start is not None and one.start.factors]
    names = {tuple(sorted(one.factors)) for one in starts}
    told = len(starts) == len(shown) and len(names) == 1
    paths = rows[:, :, moves] / scale[moves]
    return two_ways(paths[:, ::2].reshape(len(rows), -1), encode(starts, {}) if told else paths[:, 0], seed=0)


def _held_out(lessons: Sequence[tuple[Vector, Vector]]) -> tuple[tuple[int, ...], Vector]:
    """Return how far the nearest of what was shown misses held-out actions, after a quarter, a half, and all of it."""
    from scipy.spatial import cKDTree

    n = len(lessons)
    pool = n - max(2, round(HELD_OUT * n))
    sizes = (pool // 4, pool // 2, pool)
    seen = np.concatenate([rows for rows, _ in lessons])
    scale = np.where(seen.std(axis=0) > 1e-9, seen.std(axis=0), np.inf)
    errors = np.zeros((len(sizes), REPEATS_N))
    for repeat in range(REPEATS_N):
        order = np.random.default_rng(repeat).permutation(n)
        asked = np.concatenate([lessons[at][0] for at in order[pool:]]) / scale
        wanted = np.concatenate([lessons[at][1] for at in order[pool:]])
        for row, size in enumerate(sizes):
            known = np.concatenate([lessons[at][0] for at in order[:size]]) / scale
            acted = np.concatenate([lessons[at][1] for at in order[:size]])
            _, near = cKDTree(known).query(asked)
            errors[row, repeat] = float(np.abs(acted[near] - wanted).mean())
    return sizes, errors
