"""How successes move: what a command brings, and what motion neither command nor inertia explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from saqiya.domain.contracts import Vector

__all__ = ["Motion", "motion_of"]

LAGS = 6
RIDGE = 1e-4
FOLLOWS = 0.3
"""A column follows the command when past commands explain this share of its variance."""
RESOLUTION_SHARE = 0.02
PATIENCE = 0.1
"""Commands that were hardly excited in a try count this share of a typical success towards following them fully."""
WINDOW_SHARE = 0.15
SWITCHES = 2


@dataclass(frozen=True)
class Motion:
    """Two linear models of successes.

    Attributes:
        states_n: first columns of a table: what moves.
        sensed_n: columns before the command.
        switches: columns that are only ever 0 or 1 (held or not): each setting has dynamics of its own.
        steps: by setting, float64 (p, states_n): the next motion by state, last motion and the last two commands.
        resolution: float64 (states_n,): the least unexplained motion that counts.
        responses: float64 (LAGS, d, 2 states_n): difference and value of each column by the last commands.
        weight: float64 (2 states_n,): 0 for what does not follow the command.
        middle: float64 (D,), mean row.
        energy: float64 (d,): response to each column of the command in a typical success.
        length_n: rows of a typical success.
    """

    states_n: int
    sensed_n: int
    switches: tuple[int, ...]
    steps: tuple[Vector, ...]
    resolution: Vector
    responses: Vector
    weight: Vector
    middle: Vector
    energy: Vector
    length_n: float

    def unexplained(self, table: Vector) -> Vector:
        """Return float64 (t, states_n): the motion from each row to the next that was not to be expected."""
        inputs, moved, setting = _steps(table, self.states_n, self.sensed_n, self.switches)
        left = np.zeros((len(table), self.states_n))
        for number, step in enumerate(self.steps):
            at = np.flatnonzero(setting == number)
            left[at] = moved[at] - inputs[at] @ step
        return left

    def follows(self, table: Vector) -> dict[str, float]:
        """Return how much of the commanded motion came about, 1 being what successes get; {} without a command."""
        if not self.energy.size:
            return {}
        wanted, got = self._responses(table)
        gram = np.einsum("tac,tbc->ab", wanted, wanted)
        prior = np.diag(PATIENCE * self.energy + 1e-9)
        share = np.linalg.solve(gram + prior, np.einsum("tac,tc->a", wanted, got) + prior.diagonal())
        whole, size_n = wanted.sum(axis=1), max(3, round(WINDOW_SHARE * self.length_n))
        window = np.ones(min(size_n, len(whole)))
        prior_n = 0.3 * float(self.energy.sum()) / self.length_n * len(window) + 1e-9
        met = np.convolve((whole * got).sum(axis=1), window, "valid") + prior_n
        asked = np.convolve((whole**2).sum(axis=1), window, "valid") + prior_n
        return {
            "follow/least": float(share.min()),
            "follow/mean": float(share.mean()),
            "follow/most": float(share.max()),
            "follow/window": float((met / asked).min()),
        }

    def _responses(self, table: Vector) -> tuple[Vector, Vector]:
        wanted = np.einsum("tla,lac->tac", _lagged(table, self.middle, self.sensed_n), self.responses) * self.weight
        return wanted, _both(table, self.middle, self.states_n) * self.weight


def motion_of(tables: Sequence[Vector], *, states_n: int, sensed_n: int, spread: Vector) -> Motion:
    """Learn how successes move.

    Args:
        tables: float64 (t, D) each: states, signals, commands.
        states_n: columns of states; `sensed_n` columns of states and signals.
        sensed_n: where the commands begin.
        spread: float64 (states_n,), spread of each state.
    """
    everything = np.concatenate(tables)
    switches = tuple(
        column for column in range(states_n, sensed_n) if np.isin(everything[:, column], (0.0, 1.0)).all()
    )[:SWITCHES]
    parts = [_steps(table, states_n, sensed_n, switches) for table in tables]
    inputs, moved, setting = (np.concatenate(part) for part in zip(*parts, strict=True))
    steps = []
    for number in range(2 ** len(switches)):
        at = setting == number
        enough = int(at.sum()) > 5 * inputs.shape[1]
        steps.append(_ridge(inputs[at], moved[at]) if enough else _ridge(inputs, moved))
    middle = everything.mean(axis=0)
    if sensed_n == everything.shape[1]:
        nothing = np.zeros(0)
        return Motion(
            states_n,
            sensed_n,
            switches,
            tuple(steps),
            RESOLUTION_SHARE * spread,
            nothing,
            nothing,
            middle,
            nothing,
            1.0,
        )
    responses, weight = _answers(tables, middle, states_n, sensed_n)
    bare = Motion(
        states_n,
        sensed_n,
        switches,
        tuple(steps),
        RESOLUTION_SHARE * spread,
        responses,
        weight,
        middle,
        np.zeros(responses.shape[1]),
        float(np.median([len(table) for table in tables])),
    )
    energy = np.median([(bare._responses(table)[0] ** 2).sum(axis=(0, 2)) for table in tables], axis=0)  # noqa: SLF001
    return Motion(**{**vars(bare), "energy": energy})


def _steps(
    table: Vector, states_n: int, sensed_n: int, switches: Sequence[int]
) -> tuple[Vector, Vector, NDArray[np.int64]]:
    """Return what the next motion may depend on, that motion, and which switches were on."""
    state, command = table[:, :states_n], table[:, sensed_n:]
    moved = np.diff(state, axis=0, prepend=state[:1])
    before = np.concatenate([command[:1], command[:-1]])
    inputs = np.concatenate([state, moved, command, before, np.ones((len(table), 1))], axis=1)
    setting = sum(
        ((table[:-1, column] > 0.5).astype(np.int64) << bit for bit, column in enumerate(switches)),
        np.zeros(len(table) - 1, dtype=np.int64),
    )
    return inputs[:-1], moved[1:], setting


def _ridge(inputs: Vector, outputs: Vector, strength: float = RIDGE) -> Vector:
    spread = inputs.std(axis=0)
    spread[spread < 1e-9] = 1.0
    scaled = inputs / spread
    gram = scaled.T @ scaled + strength * len(scaled) * np.eye(scaled.shape[1])
    solved: Vector = np.linalg.solve(gram, scaled.T @ outputs) / spread[:, None]
    return solved


def _lagged(table: Vector, middle: Vector, sensed_n: int) -> Vector:
    """Return float64 (t - 1, LAGS, d): each row's command and those before it, less the mean command."""
    command = table[:, sensed_n:] - middle[sensed_n:]
    padded = np.concatenate([np.zeros((LAGS - 1, command.shape[1])), command])
    shifted = [padded[LAGS - 1 - lag : len(padded) - lag] for lag in range(LAGS)]
    return np.stack(shifted, axis=1)[:-1]


def _both(table: Vector, middle: Vector, states_n: int) -> Vector:
    """Return float64 (t - 1, 2 states_n): a position answers a command by its change, a velocity by its value."""
    state = table[:, :states_n]
    return np.concatenate([np.diff(state, axis=0), state[1:] - middle[:states_n]], axis=1)


def _answers(tables: Sequence[Vector], middle: Vector, states_n: int, sensed_n: int) -> tuple[Vector, Vector]:
    """Learn each column's answer to commands alone; what they hardly explain gets no weight."""
    lagged = np.concatenate([_lagged(table, middle, sensed_n) for table in tables])
    flat = lagged.reshape(len(lagged), -1)
    got = np.concatenate([_both(table, middle, states_n) for table in tables])
    answer = _ridge(flat, got, 1e-3)
    spread = got.std(axis=0)
    left = (got - flat @ answer).std(axis=0)
    explained = np.where(spread > 1e-6, 1.0 - (left / np.maximum(spread, 1e-9)) ** 2, 0.0)
    change, value = explained[:states_n], explained[states_n:]
    better = np.concatenate([change >= value, value > change])
    chosen = np.where(better & (explained > FOLLOWS), explained, 0.0)
    weight = chosen / (left + 0.05 * spread + 1e-9)
    return answer.reshape(LAGS, lagged.shape[2], -1), weight
