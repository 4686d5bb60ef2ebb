"""Equal windows of tries that lasted differently, so that a detector can be judged on what was felt, not on how long.

Failed tries often end early, or late; they were often recorded on another day, with another set of sensors. Each of
these gives the label away. So every try is cut to one window that ends before the shortest try does, only streams that
all tries have are used, and columns that count time are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch

import numpy as np
from numpy.typing import NDArray

from saqiya.detect.moments import Try
from saqiya.detect.profile import BIN_S, Track
from saqiya.errors import TooLittle
from saqiya.models.roles import Role, roles_of

__all__ = ["Cropped", "crop"]

KEPT = 0.95
"""The window ends this far into the shortest try: its very end (the arm stops, the power goes) is a sign of its own."""
SHORT_SHARE = 0.25
FEWEST_BINS_N = 8
FIRST_BINS_N = 4


@dataclass(frozen=True)
class Cropped:
    """Tries cut to one window.

    Attributes:
        tries: those kept.
        windows: float64 (n, T, C) on the grid of `BIN_S`; NaN where there is no sample.
        columns: C names, "stream: column".
        triads: columns that are x, y, z of one vector.
        begins_s: where each window begins in its try.
        window_s: how long every window is.
        lacking_n: for each try, how many of the asked streams it lacks; never used, only probed.
        left_out: streams not used, and why.
        dropped: tries not used, and why.
    """

    tries: tuple[Try, ...]
    windows: NDArray[np.float64]
    columns: tuple[str, ...]
    triads: tuple[tuple[int, int, int], ...]
    begins_s: tuple[float, ...]
    window_s: float
    lacking_n: tuple[int, ...]
    left_out: tuple[tuple[str, str], ...]
    dropped: tuple[tuple[str, str], ...]

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which tries failed, bool (n,)."""
        return np.array([not item.success for item in self.tries])

    def since_start(self) -> Cropped:
        """Return the change since each window began: sensor offsets and another pose at the start no longer tell."""
        begun = self.windows[:, :FIRST_BINS_N]
        told = np.isfinite(begun)
        first = np.where(told, begun, 0.0).sum(axis=1, keepdims=True) / np.maximum(told.sum(axis=1, keepdims=True), 1)
        return replace(self, windows=self.windows - first)

    def levelled(self) -> Cropped:
        """Return windows in which every vector, and every column of no vector, peaks at 1: strength is gone."""
        levelled = self.windows.copy()
        alone = set(range(len(self.columns))) - {number for triad in self.triads for number in triad}
        for members in (*map(list, self.triads), *([number] for number in sorted(alone))):
            size = np.linalg.norm(np.nan_to_num(levelled[:, :, members]), axis=2).max(axis=1)
            levelled[:, :, members] /= np.where(size > 0.0, size, 1.0)[:, None, None]
        return replace(self, windows=levelled)


def crop(tries: Sequence[Try], *, streams: Sequence[str] = ("*",), since: str = "") -> Cropped:
    """Cut tries to equal windows.

    A stream that one try lacks, or has in another shape, is left out for all: were it used where it is there, its
    absence would tell which tries are which. Only if no stream is left, the one that most tries have is used, and the
    tries without it are dropped and named.

    Args:
        tries: with profiles (`saqiya.detect.profile.profile_of`).
        streams: patterns of names; only these are used.
        since: a phase; windows begin when it first does, and tries without it are dropped and named. "" begins at 0.

    Raises:
        TooLittle: no stream, or no time, is shared by successes and failures.
    """
    dropped: list[tuple[str, str]] = []
    timed = _begun([_Held(item, _asked(item, streams)) for item in tries], since, dropped)
    shape, left_out = _shared([one.tracks for one in timed])
    timed = _long_enough(_with(shape, timed, dropped), shape, dropped)
    length = int(KEPT * min((one.lasts_s(shape) for one in timed), default=0.0) / BIN_S + 1e-9)
    if length < FEWEST_BINS_N or len({one.item.success for one in timed}) < 2:
        raise TooLittle(
            f"no window holds both outcomes: {len(timed)} of {len(tries)} tries share {length * BIN_S:.2f} s"
            + "".join(f"; {key}: {why}" for key, why in dropped[:3]),
            remedy="Give successes and failures with a common stream, or ask for other streams or another beginning.",
        )
    order = sorted(shape)
    windows = np.stack([np.concatenate([_cut(one, name, length) for name in order], axis=1) for one in timed])
    columns, triads = _named(order, timed[0].tracks)
    told = np.isfinite(windows).any(axis=1).all(axis=0)
    clocks = np.concatenate([np.any([one.tracks[name].clock_like for one in timed], axis=0) for name in order])
    windows, columns, triads, gone = _without(windows, columns, triads, told & ~clocks)
    if not columns:
        raise TooLittle("every shared column is empty or counts time", remedy="Ask for other streams.")
    every = {name for one in timed for name in one.item.profile.tracks}
    return Cropped(
        tries=tuple(one.item for one in timed),
        windows=windows,
        columns=columns,
        triads=triads,
        begins_s=tuple(one.begin_s for one in timed),
        window_s=length * BIN_S,
        lacking_n=tuple(len(every - one.item.profile.tracks.keys()) for one in timed),
        left_out=(*left_out, *((name, "counts time, or is empty in some try") for name in gone)),
        dropped=tuple(dropped),
    )


@dataclass(frozen=True)
class _Held:
    """A try, those of its tracks that were asked for, and where its window begins."""

    item: Try
    tracks: Mapping[str, Track]
    begin_s: float = 0.0

    def lasts_s(self, names: Iterable[str]) -> float:
        return min(self.tracks[name].length_s for name in names) - self.begin_s


def _begun(held: Sequence[_Held], since: str, dropped: list[tuple[str, str]]) -> list[_Held]:
    phase, found = since.removeprefix("phase/"), []
    for one in held:
        begin_s = next((at_s for name, at_s in one.item.profile.phases if name == phase), None) if since else 0.0
        if not one.tracks:
            dropped.append((one.item.key, "none of the streams asked for"))
        elif begin_s is None:
            dropped.append((one.item.key, f"never reached {since}"))
        else:
            found.append(replace(one, begin_s=begin_s))
    return found


def _with(shape: Mapping[str, int], held: Sequence[_Held], dropped: list[tuple[str, str]]) -> list[_Held]:
    found = []
    for one in held:
        lost = [name for name, n in shape.items() if name not in one.tracks or one.tracks[name].values.shape[1] != n]
        if lost:
            dropped.append((one.item.key, f"lacks {', '.join(lost)}, or has it in another shape"))
        else:
            found.append(one)
    return found


def _long_enough(held: Sequence[_Held], shape: Iterable[str], dropped: list[tuple[str, str]]) -> list[_Held]:
    """Leave out tries that hardly began: one of them would cut everybody's window to nothing."""
    bar_s = SHORT_SHARE * float(np.median([one.lasts_s(shape) for one in held])) if held else 0.0
    dropped += [
        (one.item.key, f"lasted less than {bar_s:.1f} s, a quarter of the median")
        for one in held
        if one.lasts_s(shape) < bar_s
    ]
    return [one for one in held if one.lasts_s(shape) >= bar_s]


def _asked(item: Try, streams: Sequence[str]) -> dict[str, Track]:
    return {
        name: track for name, track in item.profile.tracks.items() if any(fnmatch(name, pattern) for pattern in streams)
    }


def _shared(held: Sequence[Mapping[str, Track]]) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Return the streams to use with their columns, and for each other stream why not."""
    shapes = Counter((name, track.values.shape[1]) for own in held for name, track in own.items())
    shape = {name: width for (name, width), n in shapes.items() if n == len(held)}
    if not shape and shapes:
        shape = dict([shapes.most_common(1)[0][0]])
    counts = Counter(name for own in held for name in own)
    return shape, [
        (name, f"{len(held) - n} of {len(held)} tries lack it" if n < len(held) else "its columns differ between tries")
        for name, n in sorted(counts.items())
        if name not in shape
    ]


def _cut(one: _Held, name: str, length: int) -> NDArray[np.float64]:
    first = round(one.begin_s / BIN_S)
    return one.tracks[name].values[first : first + length].astype(np.float64)


def _named(order: Sequence[str], own: Mapping[str, Track]) -> tuple[tuple[str, ...], tuple[tuple[int, int, int], ...]]:
    """Name columns; three in a row whose names end in x, y, z are a vector, as is an unnamed force; a wrench is two."""
    columns: list[str] = []
    triads: list[tuple[int, int, int]] = []
    for name in order:
        first, width = len(columns), own[name].values.shape[1]
        fields = own[name].fields if len(own[name].fields) == width else tuple(str(n) for n in range(width))
        columns += [f"{name}: {field}" for field in fields]
        axes = [field.split("(")[0].strip().casefold()[-1:] for field in fields]
        triads += [
            (first + at, first + at + 1, first + at + 2)
            for at in range(width - 2)
            if axes[at : at + 3] == ["x", "y", "z"]
        ]
        if width in {3, 6} and Role.FORCE in roles_of(name) and not any(first <= triad[0] for triad in triads):
            triads += [(first + at, first + at + 1, first + at + 2) for at in range(0, width, 3)]
    return tuple(columns), tuple(triads)


def _without(
    windows: NDArray[np.float64],
    columns: Sequence[str],
    triads: Sequence[tuple[int, int, int]],
    good: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], tuple[str, ...], tuple[tuple[int, int, int], ...], tuple[str, ...]]:
    place = np.cumsum(good) - 1
    return (
        windows[:, :, good],
        tuple(name for name, ok in zip(columns, good, strict=True) if ok),
        tuple((int(place[a]), int(place[b]), int(place[c])) for a, b, c in triads if good[[a, b, c]].all()),
        tuple(name for name, ok in zip(columns, good, strict=True) if not ok),
    )
