"""Fitted detectors and their fusion as plain arrays and a small head: what the robot needs, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from saqiya import plugins
from saqiya.detect.fusion import Fusion
from saqiya.domain.contracts import Detector, FittedDetector, Online, Reloadable, Seen, Vector
from saqiya.errors import MonitorUnreadable, SaqiyaError, UsageError
from saqiya.models.replay import instants

__all__ = ["FUSION", "Carried", "Head", "Known", "carry", "read_carried"]

VERSION = 1
FUSION = "fusion"
GAP_QUANTILE = 0.99


class Known(msgspec.Struct, frozen=True):
    """A stream that detectors read.

    Attributes:
        width_n: numbers in a row of it.
        gap_s: 99 % of the gaps between two of its values are not longer; None when it comes once a try.
    """

    width_n: int
    gap_s: float | None


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said beside the arrays.

    Attributes:
        detectors: versions by name.
        policy: key of the policy that they were calibrated for.
        budget: share of its successes that may raise a false alarm; `successes_n` were held out for it.
        streams: what the detectors read, by name.
    """

    version: int
    detectors: dict[str, str]
    policy: str
    budget: float
    successes_n: int
    streams: dict[str, Known]


@dataclass(frozen=True)
class Carried:
    """Everything a monitor is made of."""

    head: Head
    detectors: Mapping[str, FittedDetector]
    fusion: Fusion

    def text(self) -> str:
        """Return the head as JSON; equal heads give equal text."""
        return msgspec.json.encode(self.head, order="sorted").decode()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all arrays, `<detector>/<array>` and `fusion/<array>`."""
        made = {f"{FUSION}/{name}": array for name, array in self.fusion.arrays().items()}
        for name, fitted in self.detectors.items():
            if isinstance(fitted, Online):
                made |= {f"{name}/{part}": array for part, array in fitted.arrays().items()}
        return made


def carry(
    fitted: Mapping[str, tuple[Detector, FittedDetector]],
    fusion: Fusion,
    normal: Sequence[Seen],
    *,
    policy: str,
    budget: float,
    successes_n: int,
) -> Carried:
    """Put together what a monitor is made of.

    Which streams each detector reads is found out by watching it: it is shown normal tries, and what it asks for is
    written down.

    Args:
        fitted: the detectors that the fusion was fitted on, by their registered names.
        fusion: how their scores become one, and its threshold.
        normal: a few tries as they should be, with the streams that the robot will give.
        policy: key of the policy that all this was calibrated for.
        budget: the false-alarm budget.
        successes_n: how many successes were held out to keep it.

    Raises:
        UsageError: a detector of the fusion is not given, or it cannot run online.
    """
    detectors: dict[str, FittedDetector] = {}
    for name in fusion.names:
        given = fitted.get(name)
        if given is None or not (isinstance(given[1], Online) and isinstance(given[0], Reloadable)):
            raise UsageError(
                "is part of the fusion and cannot run online",
                subject=name,
                remedy="Fuse detectors that can be watched.",
            )
        detectors[name] = given[1]
    reads = set().union(*(_reads(one, seen) for one in detectors.values() for seen in normal))
    head = Head(
        version=VERSION,
        detectors={name: fitted[name][0].version for name in detectors},
        policy=policy,
        budget=budget,
        successes_n=successes_n,
        streams={name: known for name in sorted(reads) if (known := _known(name, normal)) is not None},
    )
    return Carried(head, detectors, fusion)


def read_carried(text: str, arrays: Mapping[str, NDArray[Any]]) -> Carried:
    """Make the detectors and their fusion again.

    Raises:
        MonitorUnreadable: the head is not one of ours, an array is missing or has a wrong shape, or a detector has
            another version here than the one that was fitted.
        UnknownPlugin: a detector is not installed here.
    """
    try:
        head = msgspec.json.decode(text, type=Head)
        if head.version != VERSION:
            raise _unreadable(f"it is of version {head.version}, and this Saqiya reads {VERSION}")
        detectors = {name: _loaded(name, version, _under(name, arrays)) for name, version in head.detectors.items()}
        fusion = Fusion.of_arrays(_under(FUSION, arrays))
    except SaqiyaError:
        raise
    except (msgspec.MsgspecError, LookupError, ValueError, TypeError) as error:
        raise _unreadable(f"its parts do not fit together ({type(error).__name__}: {error})") from error
    if sorted(head.detectors) != sorted(fusion.names):
        raise _unreadable(f"it holds the detectors {', '.join(head.detectors)} and fuses {', '.join(fusion.names)}")
    return Carried(head, detectors, fusion)


def _loaded(name: str, version: str, arrays: Mapping[str, NDArray[Any]]) -> FittedDetector:
    detector: Detector = plugins.load("saqiya.detectors", name)()
    if detector.version != version:
        raise _unreadable(f"{name} was fitted in version {version}, and version {detector.version} is installed")
    if not isinstance(detector, Reloadable):
        raise _unreadable(f"{name}, as it is installed here, cannot be made again from arrays")
    return detector.load(arrays)


def _under(name: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(f"{name}/"): array for key, array in arrays.items() if key.startswith(f"{name}/")}


def _unreadable(what: str) -> MonitorUnreadable:
    return MonitorUnreadable(what, subject="monitor", remedy="Export the monitor again.")


class _Overheard(Mapping[str, Vector]):
    """A row that remembers what was asked of it."""

    def __init__(self, asked: set[str]) -> None:
        self.row: dict[str, Vector] = {}
        self._asked = asked

    def __getitem__(self, name: str) -> Vector:
        self._asked.add(name)
        return self.row[name]

    def __iter__(self) -> Iterator[str]:
        self._asked.update(self.row)
        return iter(self.row)

    def __len__(self) -> int:
        return len(self.row)


def _reads(fitted: FittedDetector, seen: Seen) -> set[str]:
    asked: set[str] = set()
    if isinstance(fitted, Online):
        watch, row = fitted.watch(), _Overheard(asked)
        for t_ns, values, events in instants(seen, tuple(seen.streams)):
            row.row = values
            watch.see(t_ns, row, events)
    return asked


def _known(name: str, normal: Sequence[Seen]) -> Known | None:
    """Return what is usual of a stream, None when no normal try has it: then its absence is no news."""
    found = [seen.streams[name] for seen in normal if name in seen.streams and seen.streams[name].t_ns.size]
    if not found:
        return None
    gaps = np.concatenate([np.diff(stream.t_ns) for stream in found])
    gap_s = float(np.quantile(gaps, GAP_QUANTILE, method="higher")) / 1e9 if gaps.size else None
    return Known(int(found[0].values[0].size), gap_s)
