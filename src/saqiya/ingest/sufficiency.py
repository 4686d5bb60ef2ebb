"""Is a log sufficient? Which streams a diagnosis or a retraining would miss, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from saqiya.domain.nouns import PolicySpec
from saqiya.domain.streams import EpisodeLog, Stamp, Stream
from saqiya.models.roles import Role, numeric, roles_of

__all__ = ["NEEDS", "missing_by_site", "missing_of"]

NEEDS: Mapping[str, str] = {
    "force": "no force, torque, contact or motor current: a slip, a jam and a missed contact look alike",
    "gripper": "no gripper state: whether something was held, and when it was lost, cannot be told",
    "measured": "no measured joint or tool pose: what the robot did cannot be compared with what it was told",
    "commanded": "no commanded action: nothing can be imitated, and tracking errors look like wrong commands",
    "camera": "no camera: what the scene looked like is lost, and no policy that sees can be trained",
    "uncertainty": "no policy uncertainty: failures are detected from the outside only, and novelty in bits not at all",
    "author": "no mark of who acted: steps of the operator cannot be told from the policy's, nor takeovers be found",
    "task": "no task text: tasks cannot be told apart, and no policy that reads instructions be trained",
    "start": "no start factors: a failure cannot be set up again, and evaluation starts cannot be kept out of training",
    "policy": "no name of the policy that acted: success cannot be counted for it",
    "outcome": "no word on how it ended: it counts in no rate until somebody says",
    "time": "no time was stored: gaps, delays and true rates cannot be seen",
}
"""What a later stage asks for, and what it cannot do without it."""
SLOWEST_SHARE = 0.9


def missing_of(log: EpisodeLog, spec: PolicySpec | None = None) -> dict[str, str]:
    """Return what is missing in one try, each with what for; {} when nothing is.

    A demonstration needs no policy, no uncertainty and no mark of who acted; a try whose source is not said is taken
    for a policy's only where it names one.

    Args:
        log: the try.
        spec: what the policy to be trained reads and does, where there is one: streams, widths and rate.
    """
    live = {name: s for name, s in log.streams.items() if s.t_ns.size}
    roles = {name: roles_of(name, stream) for name, stream in live.items()}
    has = {role for own in roles.values() for role in own}
    events = " ".join(event.name for event in log.events).casefold()
    facts = log.metadata
    acted = facts.get("source") in ("rollout", "correction") or bool(facts.get("policy"))
    absent = {
        "force": Role.FORCE not in has,
        "gripper": Role.GRIPPER not in has,
        "measured": not any(Role.MEASURED in own for own in roles.values()),
        "commanded": Role.COMMANDED not in has,
        "camera": not _cameras(log),
        "uncertainty": acted and "policy/uncertainty" not in live,
        "author": acted
        and not _says_who(live)
        and not any(w in events for w in ("takeover", "intervention", "handback")),
        "task": not str(facts.get("task") or "").strip(),
        "start": not _start(log),
        "policy": facts.get("source") == "rollout" and not facts.get("policy"),
        "outcome": acted and not facts.get("outcome"),
        "time": bool(live) and all(s.stamp is Stamp.ASSUMED for s in live.values()),
    }
    missing = {need: NEEDS[need] for need, lacks in absent.items() if lacks}
    return {**missing, **(_against(spec, live, log) if spec is not None else {})}


def missing_by_site(tries: Iterable[tuple[str, Mapping[str, str]]]) -> tuple[str, ...]:
    """Say for each site what its tries miss, the most frequent first.

    Args:
        tries: (site, missing) of each try.
    """
    counts: dict[str, int] = {}
    lacks: dict[str, dict[str, tuple[int, str]]] = {}
    for site, missing in tries:
        counts[site] = counts.get(site, 0) + 1
        for need, why in missing.items():
            count, said = lacks.setdefault(site, {}).get(need, (0, why))
            lacks[site][need] = (count + 1, said)
    sentences = []
    for site in sorted(counts):
        where = f"site {site}" if site else "tries without a site"
        if site not in lacks:
            sentences.append(f"{where}: all {counts[site]} tries have what diagnosis and retraining need")
        for need, (count, why) in sorted(lacks.get(site, {}).items(), key=lambda one: (-one[1][0], one[0])):
            part = f"all {count} tries" if count == counts[site] else f"{count} of {counts[site]} tries"
            sentences.append(f"{where}, {part} ({need}): {why}")
    return tuple(sentences)


def _cameras(log: EpisodeLog) -> dict[str, float]:
    """Return the rate of each colour camera."""
    rates = {
        name: s.rate_hz
        for name, s in log.streams.items()
        if s.t_ns.size and not numeric(s) and s.values.ndim >= 3 and not name.startswith("depth/")
    }
    for name, video in log.videos.items():
        if len(video.track):
            shown = video.track.shown_ns
            length_s = (int(shown[-1]) - int(shown[0])) / 1e9
            rates[name] = (len(shown) - 1) / length_s if length_s > 0.0 else 0.0
    return rates


def _says_who(live: Mapping[str, Stream]) -> bool:
    words = ("author", "intervention", "interventions", "policy_acting", "user_acting", "is_human", "teleop_active")
    return any(name.casefold().rsplit("/", 1)[-1] in words for name in live)


def _start(log: EpisodeLog) -> bool:
    start = log.metadata.get("start")
    return isinstance(start, dict) and bool(start.get("factors") or start.get("seed") is not None)


def _against(spec: PolicySpec, live: Mapping[str, Stream], log: EpisodeLog) -> dict[str, str]:
    """Compare a try with what a policy reads, does, and how fast."""
    out: dict[str, str] = {}
    cameras = _cameras(log)
    for name, width in spec.observation.items():
        found = _find(name, live)
        seen = next((rate for camera, rate in cameras.items() if camera in (name, f"camera/{name}")), None)
        if found is None and seen is None:
            out[f"observation {name}"] = (
                f"no stream {name}, which the policy reads ({width} numbers): it cannot be trained on this"
            )
        elif found is not None and numeric(found) and found.values[0].size != width:
            out[f"observation {name}"] = f"{name} has {found.values[0].size} numbers, and the policy reads {width}"
        else:
            rate = found.rate_hz if found is not None else seen or 0.0
            if 0.0 < rate < SLOWEST_SHARE * spec.rate_hz:
                out[f"rate {name}"] = (
                    f"{name} comes at {rate:.3g} Hz the policy acts at {spec.rate_hz:.3g} Hz: it would see old values"
                )
    actions = {n: s for n, s in live.items() if n in ("action/executed", "action/operator", "action/intended")}
    actions = actions or {n: s for n, s in live.items() if Role.COMMANDED in roles_of(n) and numeric(s)}
    if actions and not any(s.values[0].size == spec.action for s in actions.values()):
        name = min(actions)
        out["action"] = f"{name} has {actions[name].values[0].size} numbers, and the policy commands {spec.action}"
    elif actions and max(s.rate_hz for s in actions.values()) < SLOWEST_SHARE * spec.rate_hz:
        rate = max(s.rate_hz for s in actions.values())
        out["rate action"] = (
            f"actions come at {rate:.3g} Hz and the policy acts at {spec.rate_hz:.3g} Hz: steps between are unknown"
        )
    for name, rate in cameras.items():
        if 0.0 < rate < SLOWEST_SHARE * spec.rate_hz:
            out[f"rate {name}"] = (
                f"{name} takes {rate:.3g} pictures a second and the policy acts at {spec.rate_hz:.3g} Hz"
            )
    return out


def _find(name: str, live: Mapping[str, Stream]) -> Stream | None:
    return next((live[one] for one in (name, f"observation/{name}") if one in live), None)
