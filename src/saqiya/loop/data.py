"""The data layer of a workspace, one method a verb: what comes in, how it is cut, and how it goes out again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from saqiya import plugins
from saqiya.detect.stage import outcomes_of
from saqiya.domain.contracts import DatasetWriter, Format, Progress, Shipped
from saqiya.domain.ids import Clock
from saqiya.domain.nouns import (
    Audit,
    Cut,
    DatasetVersion,
    Episode,
    Export,
    Lineage,
    Outcome,
    OutcomeClaim,
    Policy,
    Retention,
    Subset,
)
from saqiya.domain.streams import EpisodeLog, JsonValue, Span
from saqiya.errors import UsageError
from saqiya.ingest import stage as ingest
from saqiya.ingest.cut import Cutting, cut
from saqiya.ingest.cut_rules import CutRules
from saqiya.ingest.findings import rules_of
from saqiya.ingest.remap import renaming_from
from saqiya.ingest.sufficiency import missing_by_site
from saqiya.loop.ask import Answer, ask, ask_to_file, resolve, save_subset
from saqiya.loop.diff import diff
from saqiya.loop.outcomes import TableSaid, read_outcomes, say_outcomes
from saqiya.loop.tax import Tax, exporting, ingesting, tax
from saqiya.mix import stage as mix
from saqiya.mix.difference import Difference
from saqiya.stores.erase import Erasure, erase
from saqiya.stores.keep import candidates, retain
from saqiya.stores.retain import Chosen, Rule, choose
from saqiya.stores.workspace import Workspace
from saqiya.train.stage import examine

if TYPE_CHECKING:
    from saqiya.loop.episode.view import Viewed

__all__ = ["Data"]

_RESAMPLED = "the latest "  # sample at each action, one is held: how writers say that a stream took another's rate


def _told_once(_what: str, _done: int, _of: int) -> None:
    """Show nothing: a writer's progress is that of the episodes which it is given."""


class Data:
    """What can be done with a workspace's data without turning the wheel."""

    def __init__(self, store: Workspace, *, clock: Clock, progress: Progress) -> None:
        self.store, self.clock, self.progress = store, clock, progress

    def ingest(
        self,
        paths: Iterable[str | Path],
        *,
        facts: Mapping[str, Any] | None = None,
        keep: str = "copy",
        rules: Mapping[str, Any] | None = None,
        formats: Sequence[Format] = (),
    ) -> ingest.Admitted:
        """Take in log files or folders of any known format; the same try in two formats becomes one episode.

        Args:
            paths: files or folders; folders are walked.
            facts: said of all of them (task, policy ...); what a log says itself wins.
            keep: what happens to the originals: "copy", "cameras" (only what holds pictures is copied) or "link".
            rules: "topics" and "units" (names that streams get), and "audit" (what a finding does).
            formats: which may read them; () for all that are registered.

        Raises:
            InvalidMapping, UsageError: a rule is wrong; nothing was taken in.
        """
        said = dict(rules or {})
        checks = rules_of(said.pop("audit", {}))
        manner = ingest.Manner(ingest.Keep(keep), facts or {}, renaming_from(said), checks)
        formats = formats or self.formats()
        files = [Path(one) for one in paths]
        with ingesting(self.store, self.clock) as note:
            admitted = ingest.run(self.store, files, formats, manner, clock=self.clock, progress=self.progress)
            note(admitted, files)
        return admitted

    def formats(self) -> list[Format]:
        """Return a reader of each format that is registered."""
        return [plugins.load("saqiya.formats", name)() for name in plugins.names("saqiya.formats")]

    def cut(self, episode: str, rules: CutRules) -> tuple[Episode, EpisodeLog, Cutting]:
        """Try cutting rules on a log that came in as one episode; nothing is stored.

        Raises:
            InvalidMapping: a rule names what the log does not have.
        """
        noun = self.store.catalog.get(episode, Episode)
        log = self.store.log(noun)
        return noun, log, cut(log, rules)

    def keep_cut(self, episode: Episode, rules: CutRules, cutting: Cutting) -> Cut:
        """Keep a cut: its tries become episodes that read the same bytes; an earlier cut steps back."""
        return ingest.cut_episode(self.store, episode, rules, cutting, clock=self.clock)

    def release(self, episode: str, *, who: str, why: str) -> Audit:
        """Let an episode out of quarantine, on a person's word; what the audit found stays on record."""
        noun = self.store.catalog.get(episode, Episode)
        said: dict[str, JsonValue] = {"check": "person", "stream": "", "severity": "note", "what": f"{who}: {why}"}
        made = Audit(
            id=self.store.catalog.new_id("audit"), episode=noun.id, version="person", verdict="good", findings=(said,)
        )
        return self.store.catalog.put(made, key=f"{self.store.catalog.key_of(noun.id)}/audit/{made.id}")

    def say_outcome(self, what: Sequence[str], value: Outcome, *, author: str) -> tuple[OutcomeClaim, ...]:
        """Put down a person's word on how tries ended; see `loop.outcomes.say_outcomes`."""
        _, episodes = self.chosen(what)
        return say_outcomes(self.store, {one.id: value for one in episodes}, author=author, clock=self.clock)

    def read_outcomes(self, path: Path, *, author: str, columns: Mapping[str, str]) -> TableSaid:
        """Keep the outcomes that a table of trials says; see `loop.outcomes.read_outcomes`."""
        return read_outcomes(self.store, path, author=author, columns=columns, clock=self.clock)

    def audits(self, episodes: Sequence[str]) -> list[Audit]:
        """Return the newest audit of episodes; of those in quarantine, when none is named."""
        newest = {one.episode: one for one in self.store.catalog.all(Audit)}
        if not episodes:
            return [one for one in newest.values() if one.verdict != "good"]
        ids = [self.store.catalog.get(one, Episode).id for one in episodes]
        return [newest[one] for one in ids if one in newest]

    def missing(self, audits: Sequence[Audit]) -> tuple[str, ...]:
        """Say for each site what its tries lack for a diagnosis or a retraining."""
        sites = [(self.store.catalog.get(one.episode, Episode).site, one.missing) for one in audits]
        return missing_by_site(sites)

    def register(
        self, name: str, *, file: str | Path | None = None, declared: Mapping[str, str] | None = None
    ) -> Policy:
        """Register a policy that was trained elsewhere, so that logs can name it and lineage shows the gap.

        Its lineage is `declared` when anything is said of its origin, else `unknown`. The file is looked at without
        running anything in it, and kept.

        Raises:
            PolicyUnreadable: the file is damaged or would run code.
            UsageError: the name is taken; what was registered first stays as it is.
        """
        if self.store.catalog.by_key(Policy, name) is not None:
            raise UsageError(
                "a policy of this name is registered already", subject=name, remedy="Give this one another name."
            )
        facts = examine(Path(file)) if file else {}
        policy = Policy(
            id=self.store.catalog.new_id("policy"),
            name=name,
            lineage=Lineage.DECLARED if declared else Lineage.UNKNOWN,
            trainer="",
            weights=self.store.objects.put_file(Path(file)) if file else None,
            spec=None,
            dataset=None,
            declared={**facts, **(declared or {})},
        )
        return self.store.catalog.put(policy, key=name)

    def version(
        self, name: str, what: Sequence[str], *, weights: Mapping[str, float] | None = None, note: str = ""
    ) -> DatasetVersion:
        """Make a dataset version of whole episodes under a name; nothing is copied.

        Args:
            name: what it is called from now on.
            what: a named subset, or episodes by id, key or a unique part of an id.
            weights: of a sample, by episode id; 1.0 where nothing is said.
            note: why it was made.

        Raises:
            GuardRefusal: nothing was chosen, or an episode is in quarantine.
            UsageError: the name is taken by a version with other contents.
        """
        _, episodes = self.chosen(what)
        return mix.select(self.store, episodes, weights=weights or {}, parent=None, note=note, key=f"dataset/{name}")

    def export(
        self, what: Sequence[str], path: str | Path, *, form: str, settings: Mapping[str, JsonValue] | None = None
    ) -> Export:
        """Write episodes, or the episodes of a dataset version, as another format's dataset.

        Args:
            what: one dataset version, a named subset, or any number of episodes, by id, key or part of an id.
            path: where to; it must not exist.
            form: a registered writer: "lerobot", "mcap", "rerun", "robomimic".
            settings: the writer's own ("fps").

        Raises:
            UsageError: nothing was named, or versions and episodes were mixed.
            AlreadyThere: `path` exists.
        """
        version, episodes = self.chosen(what)
        writer: DatasetWriter = plugins.load("saqiya.writers", form)()
        with exporting(self.store, self.clock) as note:
            shipped = self._shipped(version, episodes)
            notes = writer.write_all(shipped, Path(path), settings=settings or {}, progress=_told_once)
            made = Export(
                id=self.store.catalog.new_id("export"),
                dataset=version.id if version else None,
                episodes=tuple(one.id for one in episodes),
                format=form,
                location=str(Path(path).resolve()),
                settings=dict(settings or {}),
                notes=tuple(notes),
            )
            stored = self.store.catalog.put(made, key=made.id)
            note(stored, [one for one in notes if _RESAMPLED in one])
        return stored

    def view(self, episode: str, *, at_s: float | None, viewer: str, out: str | Path | None = None) -> Viewed:
        """Write an episode for Rerun or Foxglove, at a moment, and say how to open it; nothing is started or served.

        Args:
            episode: by id, key or a unique part of its id.
            at_s: seconds from the episode's beginning.
            viewer: "rerun" or "foxglove".
            out: the file to write; in the workspace's derived folder when left out.
        """
        from saqiya.loop.episode.view import view

        noun = self.store.catalog.get(episode, Episode)
        suffix = {"rerun": ".rrd", "foxglove": ".mcap"}.get(viewer, "")
        moment = "" if at_s is None else f"-{at_s:g}s"
        target = Path(out) if out else self.store.derived / "views" / f"{noun.id}{moment}{suffix}"
        if out is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
        span = Span(noun.start_ns, noun.end_ns)
        return view(self.store.log(noun), target, at_s=at_s, viewer=viewer, span=span)

    def query(self, sql: str, *, most_rows: int | None = None) -> Answer:
        """Answer one SELECT over episodes, spans, failures, corrections, trials, policies and signals.

        Raises:
            UsageError: the SQL is wrong, or asks for what a query may not do.
        """
        return ask(self.store, sql, most_rows=most_rows, progress=self.progress)

    def query_to_file(self, sql: str, path: str | Path) -> tuple[int, tuple[str, ...]]:
        """Write an answer as Parquet; return its rows and notes."""
        return ask_to_file(self.store, sql, Path(path), progress=self.progress)

    def subset(self, name: str, sql: str) -> Subset:
        """Name the episodes that a query gives; nothing is copied, and asking again gives what is there then."""
        return save_subset(self.store, name, sql)

    def diff(self, before: str, after: str) -> Difference:
        """Say what changed between two dataset versions, by episode, span and weight."""
        return diff(self.store, before, after)

    def tax(self) -> Tax:
        """Return what the data cost so far: bytes, copies, conversions, waiting."""
        return tax(self.store)

    def retain(
        self,
        name: str,
        *,
        shares: Mapping[str, float],
        otherwise: float = 1.0,
        younger_s: float = 0.0,
        seed: int = 0,
        dry: bool = True,
    ) -> Chosen | Retention:
        """Keep tries by rule and by lot, and erase the others; probabilities are written down.

        Failures, corrections, and all that a version, a trial or a deployment rests on are always kept.

        Args:
            name: of the decision; the same name goes on with it after a crash.
            shares: of a group "site|policy|task", the share of its successes to keep.
            otherwise: the share of groups that are not named.
            younger_s: what is younger is kept.
            seed: of the lots.
            dry: only say what would be kept.
        """
        rule = Rule(probability=shares, otherwise=otherwise, younger_s=younger_s)
        outcomes = outcomes_of(self.store, self.store.catalog.all(Episode))
        now_ns = self.clock()
        if dry:
            return choose(candidates(self.store, outcomes, now_ns=now_ns), rule, seed=seed)
        return retain(self.store, outcomes, rule, seed=seed, now_ns=now_ns, key=f"retention/{name}")[0]

    def erase(self, episodes: Sequence[str], *, reason: str) -> Erasure:
        """Erase the bytes of episodes for good, leave tombstones, and list what was made from them."""
        ids = [self.store.catalog.get(one, Episode).id for one in episodes]
        return erase(self.store, ids, reason=reason)

    def chosen(self, what: Sequence[str]) -> tuple[DatasetVersion | None, list[Episode]]:
        """Return the episodes that are named: one dataset version (and it), a subset, or any number of episodes.

        Raises:
            UsageError: nothing was named, or versions and episodes were mixed.
            UnknownId: there is no such thing.
        """
        if len(what) == 1 and any(one.name == what[0] for one in self.store.catalog.all(Subset)):
            return None, list(self.store.catalog.each(Episode, resolve(self.store, what[0])))
        nouns = [self.store.catalog.get(one) for one in what]
        if len(nouns) == 1 and isinstance(nouns[0], DatasetVersion):
            ids = dict.fromkeys(entry.episode for entry in nouns[0].entries)
            return nouns[0], [self.store.catalog.get(one, Episode) for one in ids]
        episodes = [one for one in nouns if isinstance(one, Episode)]
        if not nouns or len(episodes) != len(nouns):
            raise UsageError("must be one dataset version, or episodes", remedy="Name them by id; see saqiya query.")
        return None, episodes

    def _shipped(self, version: DatasetVersion | None, episodes: Sequence[Episode]) -> Iterator[Shipped]:
        spans: dict[str, list[tuple[int, int, float, str]]] = {}
        for entry in version.entries if version else ():
            spans.setdefault(entry.episode, []).append((entry.start_ns, entry.end_ns, entry.weight, str(entry.role)))
        outcomes = outcomes_of(self.store, episodes)
        for done, episode in enumerate(episodes):
            self.progress("export", done, len(episodes))
            log = self.store.log(episode)
            said = {**log.metadata, "outcome": str(outcomes[episode.id])}
            yield Shipped(episode.id, replace(log, metadata=said), tuple(spans.get(episode.id, ())))
        self.progress("export", len(episodes), len(episodes))
