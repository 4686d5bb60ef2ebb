"""The wheel as one page: self-contained, without scripts, made to be printed; its figures, and its picture."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya.correct.became import Became
from saqiya.errors import StorageFull, UsageError
from saqiya.loop.episode.clips import Clip, read_clips
from saqiya.loop.figures import turns_json
from saqiya.loop.novelty.became import became
from saqiya.loop.novelty.saturation import curves_of
from saqiya.loop.pages.saturation_picture import svg_of
from saqiya.loop.pages.wheel_facts import DetectorRow, Facts, NoveltyRow, facts_of
from saqiya.loop.pages.wheel_pictures import percent, picture_of, scatters_of
from saqiya.loop.standing import standing

if TYPE_CHECKING:
    from jinja2 import Environment

    from saqiya.loop.flywheel import Flywheel

__all__ = ["CLIPS", "Next", "page_of", "picture_text", "success_picture", "write_report", "write_turns"]

TEMPLATES = Path(__file__).parent / "templates"
CLIPS = "clips"
"""The folder beside the page where `render_medoids` puts what the page shows."""
FULL = 28  # ENOSPC
PERCENT = "\u00a0%"  # never alone on a line


@dataclass(frozen=True)
class Next:
    """What to type next, why, and the phase of the task's life.

    Attributes:
        needs: what leads to the next phase, in sentences; `stop`: why no more is to be collected, by task and mode.
        curve: the learning curve as a data URI; "" before there is a point.
        became: what came of people's corrections.
    """

    command: str
    why: str
    phase: str
    needs: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    curve: str = ""
    became: tuple[Became, ...] = ()


@dataclass(frozen=True)
class Film:
    """A clip as it stands in the page: the bytes themselves, so that the page needs no other file."""

    video: str
    still: str
    speed: float


def write_report(wheel: Flywheel, out: Path) -> Path:
    """Write the wheel's page and return its path; clips that lie in `clips` beside it are put into it.

    Raises:
        UsageError: the place cannot be written to.
        StorageFull: the disk has no room.
    """
    folder = out.parent / CLIPS
    listed = read_clips(folder)
    now = standing(wheel)
    text = page_of(
        facts_of(wheel),
        Next(
            now.next,
            now.why.replace("`", ""),
            now.phase.replace("_", " "),
            needs=now.place.needs,
            stop=tuple(now.stop.values()),
            curve=_curve(wheel),
            became=became(wheel),
        ),
        films={clip.failure: _film(folder, clip) for clip in listed.clips if (folder / clip.video).exists()},
        notes=listed.notes,
    )
    return _write(text, out)


def _curve(wheel: Flywheel) -> str:
    """Return the task's learning curve, as a picture of its own: its styles stay inside."""
    curve = curves_of(wheel, wheel.scope, parts=False)[0]
    if not curve.points:
        return ""
    drawn = svg_of(curve, seed=wheel.config.run.seed)
    return "data:image/svg+xml;base64," + b64encode(drawn.encode()).decode()


def write_turns(wheel: Flywheel, out: Path) -> Path:
    """Write turns.json, one object a turn, and return its path.

    Raises:
        UsageError: the place cannot be written to.
        StorageFull: the disk has no room.
    """
    return _write(turns_json(wheel), out)


def success_picture(wheel: Flywheel, out: Path) -> Path:
    """Write success by turn and failures by mode as one SVG, 800 px wide on white, and return its path.

    Raises:
        UsageError: the name does not end in .svg, or the place cannot be written to.
        StorageFull: the disk has no room.
    """
    if out.suffix != ".svg":
        raise UsageError("the picture is SVG", subject=str(out), remedy="Give a name that ends in .svg.")
    return _write(picture_text(facts_of(wheel)), out)


def page_of(facts: Facts, now: Next, *, films: Mapping[str, Film], notes: Sequence[str]) -> str:
    """Return the page as HTML. Every word from outside goes through autoescape."""
    return (
        _environment()
        .get_template("wheel.html")
        .render(
            f=facts,
            now=now,
            headline=headline(facts),
            p=picture_of(facts),
            scatters=scatters_of(facts.novelty),
            verdicts=verdicts_of(facts.detectors),
            detectors=_grouped(facts.detectors),
            lengths=[length_sentence(row) for row in facts.novelty],
            kinds=sorted({kind for turn in facts.turns for kind in turn.figures["seconds"]} - {"own"}),
            films=films,
            notes=notes,
        )
    )


def picture_text(facts: Facts) -> str:
    """Return the picture of a wheel as SVG."""
    return _environment().get_template("wheel_picture.svg").render(p=picture_of(facts)).lstrip()


def headline(facts: Facts) -> str:
    """Say in one sentence where the wheel stands, and why it rests or goes on."""
    if not facts.turns:
        return f"No turn of {facts.task} is finished yet."
    success = facts.back[1] if facts.back else facts.turns[-1].figures["success"]
    again = f"{facts.back[0]} was put back in charge, and " if facts.back else ""
    turns = "turn" if len(facts.turns) == 1 else "turns"
    stands = (
        f"After {len(facts.turns)} {turns}, {again}{facts.task} succeeds in {success['k']} of {success['n']} "
        f"autonomous tries (95 % interval {_range(success['low'], success['high'])})"
    )
    if facts.stopped:
        return f"{stands}; the wheel rests, because {facts.stopped}."
    target = f"the lower end is below the target of {percent(facts.target)}{PERCENT}"
    return f"{stands}; the wheel goes on: {target}."


def _grouped(rows: Sequence[DetectorRow]) -> list[list[DetectorRow]]:
    """Put the detectors of one policy and turn together, in the order they were calibrated."""
    groups: dict[tuple[int | None, str], list[DetectorRow]] = {}
    for row in rows:
        groups.setdefault((row.turn, row.policy_key), []).append(row)
    return list(groups.values())


def verdicts_of(rows: Sequence[DetectorRow]) -> list[str]:
    """Say what each turn's detectors are worth, those of one verdict in one sentence."""
    groups: dict[tuple[int | None, str], list[str]] = {}
    said = []
    for row in rows:
        groups.setdefault((row.turn, verdict_of(row)), []).append(row.name)
        if row.threshold is None:
            said.append(f"{_of_turn(row.turn)}{row.name}: it never alarms; {row.said or 'it has no threshold'}.")
    return [f"{_of_turn(turn)}{', '.join(names)}: {verdict}." for (turn, verdict), names in groups.items()] + said


def _of_turn(turn: int | None) -> str:
    return "" if turn is None else f"Turn {turn}, "


def verdict_of(row: DetectorRow) -> str:
    """Say plainly what a detector is worth beside the stopwatch, and why where nobody can say."""
    report = row.report
    if not report or report["gain"]["value"] is None:
        return "cannot be judged: too few successes or failures that calibration did not see"
    late, early = _beats(report["gain"]), _beats(report["gain_half"])
    if late == early:
        return f"{late}, at the horizon and at half of it"
    return f"{late} at the horizon; {early} at half of it"


def _beats(gain: Mapping[str, Any]) -> str:
    if gain["low"] is None:
        return "cannot be judged"
    if gain["low"] > 0.0:
        return "beats the stopwatch"
    return "is worse than the stopwatch" if gain["high"] < 0.0 else "does not beat the stopwatch"


def length_sentence(row: NoveltyRow) -> str:
    """Say how far the bits of a turn's corrections go with their mere length."""
    found = row.length
    if found.rho is None or found.low is None or found.high is None:
        return f"No rank correlation with length: {found.n} corrections are too few, or all alike."
    interval = _minus(f"{found.rho:+.2f} ({found.low:+.2f} to {found.high:+.2f}, n = {found.n})")
    figure = f"Rank correlation with length {interval}"
    if found.low > 0.0:
        return f"{figure}: longer corrections score higher, so part of the bits is mere length."
    if found.high < 0.0:
        return f"{figure}: longer corrections score lower."
    return f"{figure}: the interval holds zero, so the ranks do not show that length explains the bits."


def _range(low: float, high: float) -> str:
    return f"{percent(low)} to {percent(high)}{PERCENT}"


def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["percent"] = lambda share: f"{percent(share)}{PERCENT}"
    made.filters["rate"] = lambda share: f"{100 * share:.1f} %"
    made.filters["range"] = lambda interval: _range(interval.low, interval.high)
    made.filters["ends"] = lambda estimate: _range(estimate["low"], estimate["high"])
    made.filters["figure"] = _figure
    made.filters["minus"] = _minus
    made.filters["words"] = lambda name: str(name).replace("_", " ")
    made.filters["thousands"] = lambda count: f"{count:,.0f}".replace(",", "\u202f")
    return made


def _figure(value: float | str) -> str:
    """Write a start factor: numbers to about three digits, words as they are."""
    if not isinstance(value, int | float):
        return str(value)
    decimals = next((digits for digits, least in enumerate((100.0, 10.0, 1.0)) if abs(value) >= least), 3)
    return _minus(f"{value:.{decimals}f}")


def _minus(text: str) -> str:
    return text.replace("-", "\u2212")


def _film(folder: Path, clip: Clip) -> Film:
    return Film(
        video="data:video/mp4;base64," + b64encode((folder / clip.video).read_bytes()).decode(),
        still="data:image/jpeg;base64," + b64encode((folder / clip.still).read_bytes()).decode(),
        speed=clip.speed,
    )


def _write(text: str, out: Path) -> Path:
    """Write a file whole or not at all."""
    draft = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(out)
    except OSError as error:
        with contextlib.suppress(OSError):  # where the folder itself is none there is no draft to remove
            draft.unlink(missing_ok=True)
        if error.errno == FULL:
            raise StorageFull("the page does not fit on the disk", subject=str(out), remedy="Make room.") from error
        raise UsageError(
            f"the page cannot be written: {error.strerror}", subject=str(out), remedy="Choose another place."
        ) from error
    return out
