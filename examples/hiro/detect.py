"""Detect the failures of a real arm from force alone, in equal windows, beside what gives them away.

    python examples/hiro/detect.py SUCCESS_DIR ERROR_DIR [--seeds 5] [--permutations 100] [--json]

Reads folders of the two published HIRO sets through `mapping.toml`. Other tables can be read with --mapping, logs of
any format that Saqiya knows as they are; other streams are asked for with --streams. A log that does not say how it
ended takes it from its folder: the first holds successes, the second failures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from saqiya import plugins
from saqiya.detect.area import Area
from saqiya.detect.cropped import Cropped, crop
from saqiya.detect.moments import Try
from saqiya.detect.nested import CroppedReport, judge_cropped
from saqiya.detect.profile import profile_of
from saqiya.domain.contracts import Format, Unread
from saqiya.domain.nouns import Outcome
from saqiya.errors import SaqiyaError, TooLittle, UnknownPlugin, UsageError
from saqiya.formats.open import Ignored, read_logs
from saqiya.formats.tables.table import TableFormat
from saqiya.ingest.columns import outcome_of

FOLDERS = (Outcome.SUCCESS, Outcome.FAILURE)


def read(paths: Sequence[Path], mapping: Path) -> tuple[list[Try], list[str]]:
    """Read every try below the paths; say of each other log why it was left out."""
    tries, left_out = [], []
    readers = _readers(mapping)
    for number, given in enumerate(paths):
        for path, _, item in read_logs([given], readers):
            if isinstance(item, Ignored):
                continue
            if isinstance(item, Unread):
                left_out.append(f"{path.name}: {item.reason}")
                continue
            own, _ = outcome_of(str(item.metadata.get("outcome") or ""))
            outcome = FOLDERS[number] if own is Outcome.UNKNOWN and len(paths) == len(FOLDERS) else own
            if outcome not in FOLDERS:
                left_out.append(f"{item.key}: its outcome is {outcome}")
                continue
            day = "".join(filter(str.isdigit, str(item.metadata.get("date") or "")))[:8]
            tries.append(Try(item.key, profile_of(item), outcome is Outcome.SUCCESS, day))
    if not tries:
        raise UsageError(
            "no try was found" + "".join(f"; {why}" for why in left_out[:3]),
            remedy="Give the folders of the two sets, or a --mapping that fits the logs.",
        )
    return tries, left_out


def _readers(mapping: Path) -> list[Format]:
    """Return the mapping's reader, then every other one whose library is here."""
    readers: list[Format] = [TableFormat.from_mapping(mapping)]
    for name in plugins.names("saqiya.formats"):
        try:
            readers.append(plugins.load("saqiya.formats", name)())
        except UnknownPlugin as missing:
            print(f"logs of the format {name} cannot be read here: {missing}", file=sys.stderr)
    return readers


def views(tries: Sequence[Try], streams: Sequence[str], since: str) -> dict[str, Cropped | str]:
    """Return the windows to judge, or why there is none: from the start, from a phase on, its change, its shape."""
    found: dict[str, Cropped | str] = {}
    for name, begins in (("from the start", ""), (f"from {since} on", since)):
        if name != "from  on":
            try:
                found[name] = crop(tries, streams=streams, since=begins)
            except TooLittle as error:
                found[name] = str(error)
    whole = found["from the start"]
    if isinstance(whole, Cropped):
        found["from the start, change since its first 0.2 s"] = whole.since_start()
        found["the same, every vector scaled to its own largest size"] = whole.since_start().levelled()
    return found


def show(name: str, report: CroppedReport) -> str:
    """Return what a person reads of one window."""
    low, high = min(report.by_seed), max(report.by_seed)
    rows = [
        f"{name}: {report.failures_n} failures, {report.successes_n} successes, windows of {report.window_s:.2f} s, "
        f"{len(report.columns)} columns, {report.features_n} features",
        _told(report.area) + f"   seeds {low:.3f} to {high:.3f}",
    ]
    rows += [_told(probe) + ("   low means failure" if probe.turned else "") for probe in report.probes]
    gain = "{:+.3f} ({:+.3f} to {:+.3f})".format(*report.gain)
    rows.append(f"  gain over the best of these: {gain}")
    rows.append("  balanced accuracy {:.3f} ({:.3f} to {:.3f})".format(*report.balanced))
    rows.append("  caught {}/{} ({:.3f} to {:.3f})".format(*report.caught))
    rows.append("  false alarms {}/{} ({:.3f} to {:.3f})".format(*report.alarmed))
    if report.null_p is not None:
        rows.append(
            f"  outcomes dealt at random, {report.permutations_n} times: mean {report.null_mean:.3f}, "
            f"95 % below {report.null_high:.3f}, p = {report.null_p:.3f}"
        )
    rows += [f"  on the wrong side: {', '.join(report.wrong)}"] if report.wrong else []
    rows += [f"  not used: {stream}: {why}" for stream, why in report.left_out]
    rows += [f"  dropped: {key}: {why}" for key, why in report.dropped]
    rows.append(f"  chosen inside the training folds: {', '.join(f'{recipe} ({n})' for recipe, n in report.recipes)}")
    return "\n".join([*rows, *(f"  NOTE {note}" for note in report.notes)])


def _told(area: Area) -> str:
    return f"  AUROC {area.value:.3f} ({area.low:.3f} to {area.high:.3f})  {area.name}"


def main() -> int:
    """Judge every window; 2 when nothing could be judged, 1 when some input was left out, 0 otherwise."""
    parser = argparse.ArgumentParser(description="Detect failures from force in equal windows.")
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--mapping", type=Path, default=Path(__file__).with_name("mapping.toml"))
    parser.add_argument("--streams", nargs="+", default=["observation/wrench"], help="patterns of stream names")
    parser.add_argument("--since", default="phase/alignment", help='a phase to begin at as well; "" for none')
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=20261121)
    parser.add_argument("--permutations", type=int, default=100)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    seeds = range(given.first_seed, given.first_seed + max(1, given.seeds))
    told: dict[str, object] = {}
    try:
        tries, left_out = read(given.paths, given.mapping)
        for name, cropped in views(tries, given.streams, given.since).items():
            if isinstance(cropped, str):
                told[name] = {"not_judged": cropped}
                print(f"{name}: not judged: {cropped}", file=sys.stderr)
                continue
            report = judge_cropped(cropped, seeds=seeds, permutations_n=max(0, given.permutations))
            told[name] = asdict(report)
            if not given.json:
                print(show(name, report), flush=True)
    except SaqiyaError as error:
        print(error, file=sys.stderr)
        return 2
    for why in left_out:
        print(f"left out: {why}", file=sys.stderr)
    if given.json:
        print(json.dumps({"windows": told, "left_out": left_out}, indent=1))
    judged = [one for one in told.values() if isinstance(one, dict) and "area" in one]
    return 2 if not judged else int(bool(left_out) or len(judged) < len(told))


if __name__ == "__main__":
    sys.exit(main())
