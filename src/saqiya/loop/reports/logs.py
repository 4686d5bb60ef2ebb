"""Day one for a team with logs of its own: logs and a table of trials in, one page out; no workspace, no training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from saqiya import plugins
from saqiya.detect.moments import Moments, Try, find_moments
from saqiya.detect.profile import Profile, profile_of
from saqiya.domain.contracts import Format, Unread
from saqiya.domain.nouns import Outcome
from saqiya.domain.streams import EpisodeLog, JsonValue, Stamp
from saqiya.errors import InvalidEpisode, UnknownPlugin, UsageError
from saqiya.formats.open import Ignored, read_logs
from saqiya.formats.tables.table import TableFormat
from saqiya.ingest.columns import ColumnGuess, outcome_of
from saqiya.ingest.join import Match, TryName, join
from saqiya.ingest.prints import group_same, prints_of
from saqiya.ingest.trials import TrialRow, TrialTable, read_trials
from saqiya.loop.reports.advice import Advice, advise
from saqiya.loop.reports.rates import NOBODY, UNKNOWN_OUTCOME, LogTry, Rate, Versus, comparisons_of, rates_of
from saqiya.triage.slices import Slice, slices_of

__all__ = ["LogsReport", "Refused", "TableRead", "report_logs"]

SEED = 0


@dataclass(frozen=True)
class Refused:
    """An input that could not be used: which file, which try in it, why, and what to do."""

    path: str
    key: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class TableRead:
    """How the trials table was understood, and what in it matched nothing, or too much."""

    path: str
    rows: int
    guesses: tuple[ColumnGuess, ...]
    notes: tuple[str, ...]
    unknown_words: Mapping[str, int]
    lost: tuple[tuple[int, str, str], ...]
    ambiguous: tuple[tuple[int, tuple[str, ...]], ...]
    repeated: tuple[tuple[int, str], ...]
    conflicts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class LogsReport:
    """Everything the page shows. `slices` and `moments` are by task.

    `rejected_n` inputs were refused and `usable_n` tries came in: a command exits 1 when the first is not zero, and 2
    when the second is.
    """

    made_ns: int
    sources: tuple[str, ...]
    tries: tuple[LogTry, ...]
    refused: tuple[Refused, ...]
    ignored: Mapping[str, int]
    table: TableRead | None
    unnamed: tuple[str, ...]
    rates: tuple[Rate, ...]
    comparisons: tuple[Versus, ...]
    moments: Mapping[str, Moments]
    slices: Mapping[str, tuple[Slice, ...]]
    advice: tuple[Advice, ...]
    notes: tuple[str, ...]
    out: str = ""
    rejected_n: int = 0
    usable_n: int = 0
    copies_n: int = 0

    def refused_by_reason(self) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
        """Group refused inputs by (reason, remedy), so that a folder of one foreign kind is one line."""
        groups: dict[tuple[str, str], list[str]] = {}
        for item in self.refused:
            name = item.path if item.key in {"", Path(item.path).name} else f"{item.path} : {item.key}"
            groups.setdefault((item.reason, item.remedy), []).append(name)
        return tuple((reason, remedy, tuple(names)) for (reason, remedy), names in groups.items())

    def as_json(self) -> dict[str, JsonValue]:
        """Return the report as plain JSON values."""
        return _plain(asdict(self))  # type: ignore[return-value]


@dataclass
class _Gathered:
    """What the files held, before tries and rows are joined."""

    found: list[tuple[Path, EpisodeLog, tuple[str, ...], Profile]] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def report_logs(
    paths: Sequence[Path],
    *,
    trials: Path | None = None,
    mapping: Path | None = None,
    columns: Mapping[str, str] | None = None,
    out: Path | None = None,
    formats: Sequence[str] | None = None,
    now_ns: int,
) -> LogsReport:
    """Read logs of any known format, join the table of trials, and write one page.

    Args:
        paths: files and folders; folders are walked.
        trials: the team's table (CSV or TSV); without it, outcomes are what the logs say of themselves.
        mapping: how tables of numbers become tries (TOML).
        columns: overrules the guessed columns, field to column name.
        out: where the page goes; None writes nothing.
        formats: names in the group `saqiya.formats`; None takes all that are registered.
        now_ns: when the report is made, ns since the Unix epoch.

    Raises:
        UsageError: no path is given, columns without a table, or the page cannot be written.
        InvalidMapping: the mapping or the table cannot be understood; file and line are named.
    """
    if not paths:
        raise UsageError("no logs were given", remedy="Name files or folders: saqiya report LOGS --trials trials.csv.")
    if columns and trials is None:
        raise UsageError("columns were named without a table", remedy="Add --trials trials.csv.")
    readers, notes = _readers(formats)
    if mapping is not None:
        readers.insert(0, TableFormat.from_mapping(mapping))
    table = read_trials(trials, columns) if trials is not None else None
    skip = [path for path in (trials, mapping, out) if path is not None]
    gathered = _gather(paths, readers, skip)
    report = _assemble(gathered, table, sources=[str(path) for path in paths], notes=notes, now_ns=now_ns, out=out)
    if out is not None:
        from saqiya.loop.reports.page import write_page

        write_page(report, out)
    return report


def _readers(formats: Sequence[str] | None) -> tuple[list[Format], list[str]]:
    readers: list[Format] = []
    notes = []
    for name in plugins.names("saqiya.formats") if formats is None else formats:
        try:
            readers.append(plugins.load("saqiya.formats", name)())
        except UnknownPlugin as missing:
            if formats is not None:
                raise
            notes.append(f"Logs of the format {name} cannot be read here: {missing}")
    return readers, notes


def _gather(paths: Iterable[Path], readers: Sequence[Format], skip: Iterable[Path]) -> _Gathered:
    gathered = _Gathered()
    for path, _, item in read_logs(paths, readers, skip=skip):
        if isinstance(item, Ignored):
            gathered.ignored[item.why] += 1
            continue
        if isinstance(item, Unread):
            gathered.refused.append(Refused(str(path), item.key, item.reason, item.remedy))
            continue
        try:
            _ = item.span
        except InvalidEpisode as error:
            gathered.refused.append(Refused(str(path), item.key, error.what, "Record it again."))
            continue
        gathered.found.append((path, item, prints_of(item.streams), profile_of(item)))
    return gathered


def _assemble(
    gathered: _Gathered,
    table: TrialTable | None,
    *,
    sources: Sequence[str],
    notes: list[str],
    now_ns: int,
    out: Path | None,
) -> LogsReport:
    groups: dict[int, list[int]] = {}
    for number, first in enumerate(group_same([prints for _, _, prints, _ in gathered.found])):
        groups.setdefault(first, []).append(number)
    copies = [sorted((gathered.found[number] for number in members), key=_made_up) for members in groups.values()]
    profiles = [same[0][3] for same in copies]
    drafts = [_draft(same) for same in copies]
    names = [draft.name for draft in drafts]
    titles = _titles(names)
    joined = join(table, names) if table is not None else None
    matches = {match.index: match for match in joined.matches} if joined is not None else {}
    tries = tuple(_settled(draft, titles[number], matches.get(number), table) for number, draft in enumerate(drafts))
    keys = [item.key for item in tries]
    read = None
    lost_rows: Sequence[tuple[TrialRow, str]] = ()
    if table is not None and joined is not None:
        lost_rows = joined.lost_rows
        read = TableRead(
            path=str(table.path),
            rows=len(table.rows),
            guesses=table.guesses,
            notes=table.notes,
            unknown_words=table.unknown_words,
            lost=tuple((row.line, _row_name(row), why) for row, why in joined.lost_rows),
            ambiguous=tuple((row.line, tuple(keys[n] for n in found)) for row, found in joined.ambiguous_rows),
            repeated=tuple(
                (row.line, keys[index]) for row, index in joined.repeated_rows if not matches[index].conflict
            ),
            conflicts=tuple((keys[match.index], match.conflict) for match in joined.matches if match.conflict),
        )
    rates = rates_of(tries, lost_rows)
    comparisons, more = comparisons_of(rates)
    moments = _moments(tries, profiles)
    slices = {
        task: slices_of([(item.factors, item.failed) for item in tries if item.counted and item.task == task])
        for task in sorted({item.task for item in tries if item.counted})
    }
    unnamed = tuple(keys[number] for number in joined.unnamed) if joined is not None else ()
    advice = advise(
        versus=[(item.task, item.comparison) for item in comparisons], moments=moments, slices=slices,
        lost_n=len(lost_rows), unnamed_n=len(unnamed),
        silent=(sum(item.why_not == UNKNOWN_OUTCOME for item in tries), len(tries)),
    )  # fmt: skip
    return LogsReport(
        made_ns=now_ns,
        sources=tuple(sources),
        tries=tries,
        refused=tuple(gathered.refused),
        ignored=dict(sorted(gathered.ignored.items())),
        table=read,
        unnamed=unnamed,
        rates=rates,
        comparisons=comparisons,
        moments=moments,
        slices={task: found for task, found in slices.items() if found},
        advice=advice,
        notes=(*notes, *more),
        out=str(out) if out is not None else "",
        rejected_n=len(gathered.refused),
        usable_n=len(tries),
        copies_n=len(gathered.found) - len(tries),
    )


def _made_up(copy: tuple[Path, EpisodeLog, tuple[str, ...], Profile]) -> tuple[int, int]:
    """Sort copies of one try: measured stamps before assumed ones, then the copy with more streams."""
    streams = copy[1].streams.values()
    return sum(stream.stamp is Stamp.ASSUMED for stream in streams), -len(streams)


@dataclass(frozen=True)
class _Draft:
    """A try before the table has spoken."""

    name: TryName
    facts: Mapping[str, JsonValue]
    length_s: float
    problems: tuple[str, ...]
    taken_over: bool
    clock: str
    streams: tuple[str, ...]


def _draft(copies: Sequence[tuple[Path, EpisodeLog, tuple[str, ...], Profile]]) -> _Draft:
    facts: dict[str, JsonValue] = {}
    for _, log, _, _ in copies:
        for key, value in log.metadata.items():
            if value not in (None, "", [], {}):
                facts.setdefault(key, value)
    listed = facts.get("problems")
    name = TryName(
        paths=tuple(str(path.absolute()) for path, _, _, _ in copies),
        keys=tuple(dict.fromkeys(log.key for _, log, _, _ in copies)),
        number=_word(facts, "number"),
        date=_word(facts, "date"),
    )
    skipped = facts.get("skipped")
    problems = tuple(str(text) for text in listed) if isinstance(listed, list) else ()
    problems += tuple(f"{topic}: {why}" for topic, why in skipped.items()) if isinstance(skipped, dict) else ()
    best = copies[0][1]
    return _Draft(
        name=name,
        facts=facts,
        length_s=copies[0][3].length_s,
        problems=problems,
        taken_over=any(_taken_over(log) for _, log, _, _ in copies),
        clock=_word(best.metadata, "clock") or ", ".join(sorted({item.clock for item in best.streams.values()})),
        streams=tuple(sorted(best.streams)),
    )


def _word(facts: Mapping[str, JsonValue], key: str) -> str:
    value = facts.get(key)
    return str(value) if isinstance(value, str | int | float) else ""


def _taken_over(log: EpisodeLog) -> bool:
    """Say whether an operator took over from a policy; a demonstration, operator from first to last, is none."""
    author = log.streams.get("author")
    if author is not None and author.values.size:
        return bool(author.values.any()) and not bool(author.values.all())
    return any(event.name == "takeover" for event in log.events)


def _settled(draft: _Draft, title: str, match: Match | None, table: TrialTable | None) -> LogTry:
    """Say what a try counts as: the table's word before the log's own."""
    row = match.row.fields if match is not None else {}
    own, known = outcome_of(_word(draft.facts, "outcome"))
    claims = [f"table line {item.line}: {item.outcome}" for item in match.rows] if match is not None else []
    if known and own is not Outcome.UNKNOWN:
        claims.append(f"the log: {own}")
    outcome, source = (match.row.outcome, "table") if match is not None else (own, "log")
    policy = row.get("policy") or _word(draft.facts, "policy_name") or _word(draft.facts, "policy") or NOBODY
    disputed = match is not None and "not counted" in match.conflict
    if table is not None and match is None:
        why_not = "no row of the table names it"
    elif disputed:
        why_not = "its rows name different policies, tasks or criteria"
    elif outcome is Outcome.UNKNOWN:
        why_not = UNKNOWN_OUTCOME
    else:
        why_not = ""
    return LogTry(
        key=title,
        paths=draft.name.paths,
        policy=policy,
        task=row.get("task") or _word(draft.facts, "task"),
        criterion=row.get("criterion") or _word(draft.facts, "criterion"),
        outcome=outcome,
        outcome_from=source if outcome is not Outcome.UNKNOWN else "",
        counted=not why_not,
        why_not=why_not,
        claims=tuple(claims),
        factors=match.row.factors if match is not None else {},
        length_s=draft.length_s,
        problems=draft.problems,
        taken_over=draft.taken_over,
        day="".join(filter(str.isdigit, draft.name.date))[:8] if draft.name.date[:8].isdigit() else "",
        clock=draft.clock,
        streams=draft.streams,
    )


def _titles(names: Sequence[TryName]) -> list[str]:
    """Name each try as shortly as tells it from the others: its file, the try in it, and folders where needed."""
    in_file = Counter(name.paths[0] for name in names)

    def title(name: TryName, folders: int) -> str:
        path = Path(name.paths[0])
        stem = path.name if path.is_dir() else path.stem
        inside = (name.keys[0],) if in_file[name.paths[0]] > 1 else ()
        return "/".join((*path.parts[-1 - folders : -1], stem, *inside))

    found = [title(name, 0) for name in names]
    for folders in range(1, 12):
        twice = {text for text, n in Counter(found).items() if n > 1}
        if not twice:
            break
        found = [title(name, folders) if text in twice else text for name, text in zip(names, found, strict=True)]
    return found


def _row_name(row: TrialRow) -> str:
    return row.fields.get("log") or row.fields.get("id") or row.fields.get("date") or "(no name)"


def _moments(tries: Sequence[LogTry], profiles: Sequence[Profile]) -> dict[str, Moments]:
    """Search every task that has a failure with a log."""
    found = {}
    for task in sorted({item.task for item in tries}):
        judged = [
            Try(item.key, profile, not item.failed, item.day)
            for item, profile in zip(tries, profiles, strict=True)
            if item.task == task and item.outcome is not Outcome.UNKNOWN
        ]
        if any(not item.success for item in judged):
            found[task] = find_moments(judged, seed=SEED)
    return found


def _plain(value: object) -> JsonValue:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN is not itself
    if value is None or isinstance(value, str | int | bool):
        return str(value) if isinstance(value, Outcome) else value
    return str(value)
