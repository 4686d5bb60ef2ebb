"""Name failures of a real robot from 0.3 s of force and torque, and say how well that goes.

    python examples/uci/name.py lp1.data lp2.data lp4.data [--seeds 5] [--first-seed 20261121] [--json]

Each file is one problem, in the text blocks of the UCI set "Robot Execution Failures": a line with the name of the
class, then a line of six whole numbers for each sample (force x y z, torque x y z), then a blank line.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from saqiya.errors import SaqiyaError, UnreadableLog
from saqiya.models.copies import group_copies
from saqiya.models.recipes import NEAREST, SMALL
from saqiya.models.windows import describe
from saqiya.triage.naming import NamingReport, OpenSet, Rival, Share, judge_names, judge_new

WRENCH = ("force x", "force y", "force z", "torque x", "torque y", "torque z")
TRIADS = ((0, 1, 2), (3, 4, 5))
FEWEST_ROWS_N = 4


@dataclass(frozen=True)
class Problem:
    """The windows of one file, float64 (T, 6) each, and the names of their classes."""

    title: str
    windows: tuple[np.ndarray, ...]
    names: tuple[str, ...]


def read(path: Path) -> Problem:
    """Read the blocks of one file; every line that is neither a name nor six numbers is told with its number."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise UnreadableLog(
            str(error.strerror or error), subject=str(path), remedy="Check the path; it must be a text file."
        ) from error
    blocks: list[tuple[int, str, list[list[float]]]] = []
    for number, line in enumerate(lines, start=1):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            values = [float(word) for word in words]
        except ValueError:
            blocks.append((number, line.strip(), []))
            continue
        if not blocks or len(values) != len(WRENCH) or not np.isfinite(values).all():
            why = "no class name stands before it" if not blocks else f"not {len(WRENCH)} numbers"
            raise UnreadableLog(f"line {number}: {why}", subject=str(path), remedy="Mend the line, or leave it out.")
        blocks[-1][2].append(values)
    if not blocks:
        raise UnreadableLog("no block in it", subject=str(path), remedy="Give a file of named blocks of numbers.")
    for number, name, rows in blocks:
        if len(rows) < FEWEST_ROWS_N:
            raise UnreadableLog(
                f"line {number}: {name[:40]!r} is followed by {len(rows)} rows of numbers, {FEWEST_ROWS_N} are needed",
                subject=str(path),
                remedy="Mend the block, or leave it out.",
            )
    return Problem(path.stem, tuple(np.array(rows) for _, _, rows in blocks), tuple(name for _, name, _ in blocks))


def judge(
    problem: Problem, seeds: Sequence[int], *, part_copies: bool = False
) -> tuple[NamingReport, tuple[OpenSet, ...]]:
    """Judge naming on one problem, beside the largest force alone and raw samples.

    With `part_copies` a window and its copy may be in different folds, as in published figures of this set.
    """
    groups = np.arange(len(problem.windows)) if part_copies else group_copies(problem.windows)
    rows = describe(problem.windows, WRENCH, triads=TRIADS).values
    length = int(np.median([len(window) for window in problem.windows]))
    raw = np.array([_stretched(window, length).ravel() for window in problem.windows])
    force = np.array([[np.linalg.norm(window[:, :3], axis=1).max()] for window in problem.windows])
    rivals = (
        Rival("the largest force alone", force, SMALL[:2]),
        Rival("nearest neighbour on raw samples", raw, NEAREST),
        Rival("trees or kernel on raw samples", raw, SMALL[:2]),
    )
    report = judge_names(rows, problem.names, groups, seeds=seeds, rivals=rivals)
    return report, judge_new(rows, problem.names, groups, seeds=seeds[:2])


def _stretched(window: np.ndarray, length: int) -> np.ndarray:
    at = np.linspace(0.0, len(window) - 1.0, length)
    return np.column_stack([np.interp(at, np.arange(len(window)), column) for column in window.T])


def show(title: str, report: NamingReport, new: Sequence[OpenSet]) -> str:
    """Return what a person reads of one problem."""
    classes = ", ".join(f"{name} {n}" for name, n in report.names)
    lines = [
        f"{title}: {report.failures_n} windows ({classes}); {report.failures_n - report.distinct_n} are copies of "
        "others, in whole or in part, and stay in the fold of those",
        f"  {'':34} accuracy              mean recall of classes",
    ]
    lines += [
        f"  {skill.name:34} {_told(skill.accuracy)}  {_told(skill.balanced)}" for skill in (report.own, *report.rivals)
    ]
    gain, low, high = report.gain
    lines.append(f"  {'gain over the best rival':34} {gain:+.3f} ({low:+.3f} to {high:+.3f})")
    lines += [f"  recall of {name:24} {_told(share)}  n = {share.n}" for name, share in report.recall]
    lines += [
        f"  {'named at all':34} {_told(report.answered)}",
        f"  {'right when named':34} {_told(report.right_when_answered)}",
        f"  {'known, but refused as new':34} {_told(report.refused_as_new)}",
        f"  {'mean confidence':34} {report.confidence:.3f}",
    ]
    lines += [
        f"  never learned: {one.name:19} {_told(one.refused_as_new)} refused as new, "
        f"{one.not_named.value:.3f} given no name"
        for one in new
    ]
    if report.thin:
        lines.append(f"  one distinct window only, so never right: {', '.join(report.thin)}")
    chosen = ", ".join(f"{name} ({n})" for name, n in report.recipes)
    return "\n".join([*lines, f"  chosen inside the training folds: {chosen}"])


def _told(share: Share) -> str:
    return f"{share.value:.3f} ({share.low:.3f} to {share.high:.3f})"


def main() -> int:
    """Judge each file; 1 when one of them could not be, 0 otherwise."""
    parser = argparse.ArgumentParser(description="Name failures from force and torque, and judge how well that goes.")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="full nested cross-validations a file")
    parser.add_argument("--first-seed", type=int, default=20261121)
    parser.add_argument("--part-copies", action="store_true", help="let copies answer for each other: flatters")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + max(1, given.seeds))
    told: dict[str, object] = {}
    failed = False
    for path in given.files:
        try:
            problem = read(path)
            report, new = judge(problem, seeds, part_copies=given.part_copies)
        except SaqiyaError as error:
            failed = True
            told[str(path)] = {"error": str(error)}
            print(f"{path.name}: {error}", file=sys.stderr)
            continue
        told[str(path)] = {"naming": asdict(report), "never_learned": [asdict(one) for one in new]}
        if not given.json:
            print(show(problem.title, report, new), flush=True)
    if given.json:
        print(json.dumps(told, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
