"""What a LeRobot data set cannot hold, counted over its episodes and said in sentences."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = ["Told"]

_SENTENCES = {
    "rate": "{subject}: every frame has the latest sample; samples between frames have no row{where}",
    "held": "{subject}: fewer samples than frames; the latest one is held{where}",
    "stamps": "stamps are replaced by frame / fps: frames are up to {worst:.4g} ms from their own moments{where}",
    "cut": "frames at which a camera has no picture yet, or none any more, are left out: up to {worst:.0f}{where}",
    "copied": "{subject}: packets are copied as they are; pictures are up to {worst:.4g} ms from their frames{where}",
    "encoded": "{subject}: encoded again{where}",
    "packed": "{subject}: raw pictures are packed as PNG, losslessly{where}",
    "partial": "{subject}: is there only at times and has no column{where}",
    "clock": "{subject}: readings of another clock have no column{where}",
    "empty": "{subject}: has no sample{where}",
    "events": "events of the kind {subject} have no column{where}",
    "outcome": "the outcome is {subject}, which next.success cannot say: it is false on every frame{where}",
    "task": "no task is named; its text is empty{where}",
    "lacking": "{subject}: left out of the columns, because not every episode has it in one shape and type{where}",
    "robot": "robots differ; robot_type is left empty{where}",
}


@dataclass
class Told:
    """Facts by kind and subject: in how many episodes, and how bad at worst."""

    _found: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def tell(self, kind: str, subject: str = "", figure: float = 0.0) -> None:
        """Note one fact of one episode."""
        self._found.setdefault((kind, subject), []).append(figure)

    def sentences(self, episodes_n: int) -> tuple[str, ...]:
        """Return them all, in the order of the kinds above."""
        order = list(_SENTENCES)
        found = sorted(self._found.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
        return tuple(
            _SENTENCES[kind].format(subject=subject, worst=max(figures), where=_where(len(figures), episodes_n))
            for (kind, subject), figures in found
        )


def _where(count: int, episodes_n: int) -> str:
    return "" if count >= episodes_n else f" ({count} of {episodes_n} episodes)"
