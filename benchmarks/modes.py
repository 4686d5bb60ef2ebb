"""Unknown failure modes against the causes that were at work, which no log names (see PROTOCOL.md)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

from benchmarks._disturbed import CAUSES, Tried, deployment
from benchmarks.harness import Figure, Measured, at_least, shown
from saqiya.detect.incidents import incident
from saqiya.domain.contracts import Seen
from saqiya.domain.nouns import Outcome
from saqiya.models.rows import common_names, side_by_side
from saqiya.models.scene import scene
from saqiya.triage.clusters import KnownMode, find_modes, stability
from saqiya.triage.features import describe
from saqiya.triage.rules import Facts, label
from saqiya.triage.vocabulary import built_in

COMMAND = "make bench ONLY=modes"
SEED = 20261121
SEEDS = 5
SITES = {"tiny": "tiny", "metaworld": "metaworld-pick-place"}
TRIES = {"tiny": 1600, "metaworld": 1200}
PHASES = {"tiny": ("reach", "grasp", "carry", "place"), "metaworld": ("reach", "grasp", "lift", "place")}
ARI_BAR, NMI_BAR, STABILITY_BAR, SURFACED_BAR = 0.50, 0.65, 0.70, 1.0
DRAWS = 2
OCCURRENCES = 15
OWN_SHARE = 1 / 3

Rows = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """One deployment: features of its failures, and the cause of each."""

    rows: Rows
    causes: Mapping[str, str]
    tries: Mapping[str, Tried]


def case(label_: str, seed: int, n: int) -> Case:
    """Deploy, and describe the failures."""
    tries = deployment(SITES[label_], seed, n)
    good = [Seen.of(one.log.streams, one.log.events) for one in tries if one.success]
    failed = {one.log.key: one for one in tries if not one.success}
    found = describe(good, {key: Seen.of(one.log.streams, one.log.events) for key, one in failed.items()})
    if found.left_out:
        raise ValueError(f"failures without features: {dict(found.left_out)}")
    return Case(found.rows, {key: one.cause or "policy" for key, one in failed.items()}, failed)


def agreement(causes: Mapping[str, str], groups: Mapping[str, object]) -> tuple[float, float]:
    """Return ARI and NMI; what is in no group is one group."""
    truth = [causes[key] for key in causes]
    given = [str(groups.get(key, "")) for key in causes]
    return float(adjusted_rand_score(truth, given)), float(normalized_mutual_info_score(truth, given))


def of_modes(rows: Rows) -> dict[str, object]:
    """Group as the product does."""
    return {key: number for number, mode in enumerate(find_modes(rows).modes) for key in mode.members}


def surfaced(one: Case, cause: str, seed: int) -> float | None:
    """Say whether a cause kept out of two turns is a mode of its own in the third, after 15 occurrences of it.

    Two thirds of the other failures are turns 1 and 2, which join what turn 1 found; the rest come with the new cause.
    None: it occurred less often than that.
    """
    rng = np.random.default_rng([seed, CAUSES.index(cause)])
    new = [key for key in one.rows if one.causes[key] == cause]
    others = [key for key in one.rows if one.causes[key] != cause]
    if len(new) < OCCURRENCES:
        return None
    others = [others[index] for index in rng.permutation(len(others))]
    turns = [others[part::3] for part in range(3)]
    first = find_modes({key: one.rows[key] for key in turns[0]})
    known = [KnownMode(mode.medoid, mode.members) for mode in first.modes]
    known = _joined(one.rows, known, turns[1])
    arrived = [new[index] for index in rng.permutation(len(new))[:OCCURRENCES]]
    kept = [key for mode in known for key in mode.members]
    third = find_modes({key: one.rows[key] for key in (*kept, *turns[2], *arrived)}, known)
    for mode in third.modes:
        ours = len(set(mode.members) & set(arrived))
        if not mode.known and ours > len(mode.members) / 2 and ours >= OWN_SHARE * OCCURRENCES:
            return 1.0
    return 0.0


def _joined(rows: Rows, known: Sequence[KnownMode], turn: Sequence[str]) -> list[KnownMode]:
    kept = [key for mode in known for key in mode.members]
    second = find_modes({key: rows[key] for key in (*kept, *turn)}, known)
    grown = {mode.known: mode.members for mode in second.modes if mode.known}
    old = [KnownMode(mode.id, (*mode.members, *grown.get(mode.id, ()))) for mode in known]
    return old + [KnownMode(mode.medoid, mode.members) for mode in second.modes if not mode.known]


def rivals(label_: str, one: Case) -> dict[str, dict[str, object]]:
    """Group in the ways that the product's has to beat."""
    right = len(set(one.causes.values()))
    flat = PCA(5, svd_solver="full").fit_transform(np.array(list(one.rows.values())))
    raw = PCA(5, svd_solver="full").fit_transform(_raw(one))
    groups = {f"kmeans_{name}": _kmeans(flat, right + off) for name, off in (("right", 0), ("less", -2), ("more", 2))}
    groups |= {"pca_hdbscan": _hdbscan(flat), "raw_hdbscan": _hdbscan(raw), "raw_kmeans_right": _kmeans(raw, right)}
    made = {name: dict(zip(one.rows, labels.tolist(), strict=True)) for name, labels in groups.items()}
    made["rules"] = {key: _rule(label_, tried) for key, tried in one.tries.items()}
    return made


def _kmeans(table: np.ndarray, k: int) -> np.ndarray:
    return KMeans(max(2, k), n_init=10, random_state=0).fit_predict(table)


def _hdbscan(table: np.ndarray) -> np.ndarray:
    return HDBSCAN(min_cluster_size=max(5, len(table) // 50), copy=True).fit_predict(table)


def _raw(one: Case) -> np.ndarray:
    """Return the last row and the mean row of every failure, each column scaled by its spread."""
    logs = [tried.log for tried in one.tries.values()]
    names = common_names([log.streams for log in logs], action=True)
    rows = [side_by_side(log.streams, names)[1] for log in logs]
    table = np.array([np.concatenate([row[-1], row.mean(axis=0)]) for row in rows])
    spread = table.std(axis=0)
    return table[:, spread > 0] / spread[spread > 0]


def _rule(label_: str, tried: Tried) -> str:
    log = tried.log
    found = incident(
        Outcome.FAILURE, span=log.span, events=log.events, streams=log.streams, alarms=(), phases=PHASES[label_]
    )
    told = scene(log.streams, log.events, log.span)
    if found is None:
        raise ValueError(f"{log.key} is no failure")
    return label(Facts(found.phase, PHASES[label_], found.evidence | told), built_in()).label


def over_seeds(values: Iterable[float | None]) -> Measured:
    """Return the mean over seeds with Student's interval; a seed that could not say does not count."""
    known = np.array([value for value in values if value is not None])
    if len(known) < 2:
        raise ValueError("fewer than two seeds gave a value: the scenario has too few failures")
    half = float(stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return Measured(float(known.mean()), float(known.mean()) - half, float(known.mean()) + half, len(known))


def run(*, quick: bool) -> Iterator[Figure]:
    """Yield every figure of the protocol's section "modes"."""
    seeds = range(SEED, SEED + (2 if quick else SEEDS))
    overall: dict[str, list[float]] = {"ari": [], "nmi": [], "stability": []}
    for label_ in SITES:
        cases = [case(label_, seed, TRIES[label_] // (4 if quick else 1)) for seed in seeds]
        name = f"modes.{label_}"
        yield shown(f"{name}.failures", over_seeds(float(len(one.rows)) for one in cases), command=COMMAND)
        found = [of_modes(one.rows) for one in cases]
        yield shown(f"{name}.found", over_seeds(float(len({*one.values()})) for one in found), command=COMMAND)
        alone = [1 - len(groups) / len(one.rows) for one, groups in zip(cases, found, strict=True)]
        yield shown(f"{name}.alone", over_seeds(alone), command=COMMAND)
        values = {
            "ari": [agreement(one.causes, groups)[0] for one, groups in zip(cases, found, strict=True)],
            "nmi": [agreement(one.causes, groups)[1] for one, groups in zip(cases, found, strict=True)],
            "stability": [stability(one.rows, seed=seed, draws=DRAWS) for one, seed in zip(cases, seeds, strict=True)],
        }
        for figure, measured in values.items():
            overall[figure] += [*measured]
            yield shown(f"{name}.{figure}", over_seeds(measured), command=COMMAND)
        yield from _surfaced(name, cases, seeds)
        yield from _rivals(name, label_, cases)
    for figure, bar in (("ari", ARI_BAR), ("nmi", NMI_BAR), ("stability", STABILITY_BAR)):
        both = np.array(overall[figure]).reshape(len(SITES), -1).mean(axis=0)
        yield at_least(f"modes.{figure}", over_seeds(both), bar, command=COMMAND)


def _surfaced(name: str, cases: Sequence[Case], seeds: Iterable[int]) -> Iterator[Figure]:
    shares = []
    for one, seed in zip(cases, seeds, strict=True):
        told = [said for cause in CAUSES if (said := surfaced(one, cause, seed)) is not None]
        shares.append(float(np.mean(told)) if told else None)
    yield at_least(f"{name}.surfaced", over_seeds(shares), SURFACED_BAR, command=COMMAND)


def _rivals(name: str, label_: str, cases: Sequence[Case]) -> Iterator[Figure]:
    made = [rivals(label_, one) for one in cases]
    for rival in made[0]:
        scores = [agreement(one.causes, groups[rival]) for one, groups in zip(cases, made, strict=True)]
        for place, figure in enumerate(("ari", "nmi")):
            yield shown(f"{name}.{rival}.{figure}", over_seeds(s[place] for s in scores), command=COMMAND)
