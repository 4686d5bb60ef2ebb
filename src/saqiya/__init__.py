"""Saqiya, the robot data flywheel: failures in, the smallest set of corrections out, shipped on evidence.

`saqiya.Flywheel(path).turn()` turns the wheel of a workspace. The other names are what a plug-in is written against.
Each is imported when it is first used, so that `import saqiya` costs a robot nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from saqiya.domain.contracts import (
        Action,
        Demonstrable,
        Detector,
        Format,
        Lesson,
        Operator,
        Restorable,
        RunnablePolicy,
        Seen,
        Site,
        SiteSpec,
        Step,
        Trained,
        Trainer,
        Unread,
        Writable,
    )
    from saqiya.domain.nouns import PolicySpec
    from saqiya.domain.streams import EpisodeLog, Event, Start, Stream
    from saqiya.errors import SaqiyaError
    from saqiya.loop.flywheel import Flywheel
    from saqiya.loop.reports.logs import report_logs
    from saqiya.loop.tries.monitor import Monitor

__all__ = [
    "Action",
    "Demonstrable",
    "Detector",
    "EpisodeLog",
    "Event",
    "Flywheel",
    "Format",
    "Lesson",
    "Monitor",
    "Operator",
    "PolicySpec",
    "Restorable",
    "RunnablePolicy",
    "SaqiyaError",
    "Seen",
    "Site",
    "SiteSpec",
    "Start",
    "Step",
    "Stream",
    "Trained",
    "Trainer",
    "Unread",
    "Writable",
    "report_logs",
]

_HOMES = {
    "EpisodeLog": "saqiya.domain.streams",
    "Event": "saqiya.domain.streams",
    "Flywheel": "saqiya.loop.flywheel",
    "Monitor": "saqiya.loop.tries.monitor",
    "PolicySpec": "saqiya.domain.nouns",
    "SaqiyaError": "saqiya.errors",
    "Start": "saqiya.domain.streams",
    "Stream": "saqiya.domain.streams",
    "report_logs": "saqiya.loop.reports.logs",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in __all__:
        raise AttributeError(f"module 'saqiya' has no attribute {name!r}")
    return getattr(import_module(_HOMES.get(name, "saqiya.domain.contracts")), name)


def __dir__() -> list[str]:
    return sorted(__all__)
