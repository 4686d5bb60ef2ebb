"""What every site must keep: see `saqiya.domain.contracts.Site`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from saqiya.domain.contracts import Demonstrable, Renderable, Restorable, Site, SiteSpec, Step, Vector
from saqiya.domain.streams import Start
from saqiya.errors import SiteFault
from saqiya.testing.demand import demand, same_bits

__all__ = ["check_site"]

_EVENTS = {"contact/made", "contact/lost"}
_SEEDS = (0, 1, 2, 3)


def check_site(factory: Callable[[], Site], *, steps: int = 40) -> None:
    """Check that the sites that `factory` makes keep the contract; at least half of four demonstrations must succeed.

    Args:
        factory: makes a new site without arguments, as the entry point does; called twice.
        steps: length of the tries with drawn actions.

    Raises:
        AssertionError: a sentence of what the contract demands.
    """
    site, other = factory(), factory()
    try:
        _check_spec(site.spec)
        _check_starts(site)
        starts = [site.sample_start(seed) for seed in _SEEDS]
        actions = _drawn_actions(site.spec, min(steps, site.spec.horizon_steps))
        first = _run(site, starts[0], actions)
        _check_steps(site.spec, first)
        _run(site, starts[1], actions[: len(actions) // 2])
        demand(
            _same(first, _run(site, starts[0], actions)),
            "A site must repeat itself after another try: equal start and actions, equal bits.",
        )
        demand(
            _same(first, _run(other, starts[0], actions)),
            "Two sites of one kind must agree: equal start and actions, equal bits.",
        )
        if isinstance(site, Restorable):
            _check_restore(site, starts, actions)
        if isinstance(site, Demonstrable):
            _check_expert(site, starts)
        if isinstance(site, Renderable):
            _check_picture(site, starts[0])
    finally:
        site.close()
        other.close()


def _check_spec(spec: SiteSpec) -> None:
    for name in ("name", "task", "criterion", "embodiment"):
        demand(getattr(spec, name), f"spec.{name} must not be empty.")
    demand(spec.observation, "spec.observation must name at least one stream.")
    demand(all(width >= 1 for width in spec.observation.values()), "Every observation stream must be at least 1 wide.")
    low, high = spec.action_low, spec.action_high
    demand(low.ndim == 1 and low.shape == high.shape, "spec.action_low and spec.action_high must both be (d,).")
    demand(
        np.isfinite(low).all() and np.isfinite(high).all() and (low < high).all(),
        "spec.action_low must lie below spec.action_high, both finite.",
    )
    demand(spec.rate_hz > 0 and spec.horizon_steps >= 1, "spec.rate_hz and spec.horizon_steps must be above 0.")
    demand(spec.phases and len(set(spec.phases)) == len(spec.phases), "spec.phases must name each phase once.")
    demand(
        all(a < b for a, b in spec.factors.values()), "Every factor's range must have its low end below its high end."
    )


def _check_starts(site: Site) -> None:
    demand(site.sample_start(5) == site.sample_start(5), "sample_start must give equal starts for equal seeds.")
    for region in (1.0, 0.4):
        for seed in range(20):
            start = site.sample_start(seed, region=region)
            demand(set(start.factors) == set(site.spec.factors), "A start must name exactly the factors of the spec.")
            for name, (low, high) in site.spec.factors.items():
                away = abs(float(start.factors[name]) - (low + high) / 2)
                demand(
                    away <= region * (high - low) / 2 * (1 + 1e-9),
                    f"sample_start(region={region}) must draw {name} from the middle {region:.0%} of its range.",
                )
    if site.spec.factors:
        demand(
            site.sample_start(1).key != site.sample_start(2).key, "sample_start must give other starts for other seeds."
        )


def _drawn_actions(spec: SiteSpec, steps: int) -> Vector:
    """Actions within the bounds, each held for four steps so that something moves."""
    rng = np.random.default_rng(0)
    return np.repeat(rng.uniform(spec.action_low, spec.action_high, (-(-steps // 4), spec.action_low.size)), 4, axis=0)[
        :steps
    ]


def _frozen(step: Step) -> Step:
    return Step(
        {name: np.array(value) for name, value in step.observation.items()},
        step.success,
        step.t_ns,
        {name: np.array(value) for name, value in step.signals.items()},
        tuple(step.events),
    )


def _run(site: Site, start: Start, actions: Vector) -> list[Step]:
    """Run a try; also see that no array handed out is written to afterwards."""
    given = [site.reset(start)]
    copies = [_frozen(given[0])]
    for action in actions:
        given.append(site.step(action))
        copies.append(_frozen(given[-1]))
    demand(_same(given, copies), "A step that was handed out must not change when the site moves on: copy the arrays.")
    return copies


def _same(one: Sequence[Step], other: Sequence[Step]) -> bool:
    return len(one) == len(other) and all(
        (a.success, a.t_ns, tuple(a.events)) == (b.success, b.t_ns, tuple(b.events)) and _same_values(a, b)
        for a, b in zip(one, other, strict=True)
    )


def _same_values(one: Step, other: Step) -> bool:
    return same_bits(one.observation, other.observation) and same_bits(one.signals, other.signals)


def _check_steps(spec: SiteSpec, steps: Sequence[Step]) -> None:
    known = _EVENTS | {f"phase/{phase}" for phase in spec.phases}
    for step in steps:
        demand(
            set(step.observation) == set(spec.observation), "An observation must hold exactly the streams of the spec."
        )
        for name, width in spec.observation.items():
            value = step.observation[name]
            demand(
                value.shape == (width,) and value.dtype == np.float64,
                f"observation {name!r} must be float64 ({width},).",
            )
        demand(set(step.signals) == set(steps[0].signals), "Every step must hold the same signals.")
        for name, value in (*step.observation.items(), *step.signals.items()):
            demand(np.isfinite(value).all(), f"{name!r} must be finite.")
        for event in step.events:
            demand(
                event in known, f"The event {event!r} is in nobody's vocabulary: use one of {', '.join(sorted(known))}."
            )
    demand(not steps[0].success, "A try must not begin with success.")
    stamps = np.array([step.t_ns for step in steps], dtype=np.int64)
    demand((np.diff(stamps) > 0).all(), "Stamps must strictly increase within a try.")
    period_ns = float(np.median(np.diff(stamps)))
    demand(
        abs(period_ns * spec.rate_hz / 1e9 - 1) < 0.01, "Stamps must be one control period (1 / spec.rate_hz) apart."
    )
    seen = [event for step in steps for event in step.events if event.startswith("phase/")]
    demand(len(set(seen)) == len(seen), "A phase event must be emitted once in a try: when the phase is first reached.")


def _check_restore(site: Site, starts: Sequence[Start], actions: Vector) -> None:
    if not isinstance(site, Restorable):
        return
    half = len(actions) // 2
    at = _run(site, starts[0], actions[:half])[-1]
    saved = site.snapshot()
    copies = {name: np.array(value) for name, value in saved.items()}
    after = [_frozen(site.step(action)) for action in actions[half:]]
    demand(
        all(np.array_equal(saved[name], copies[name]) for name in copies),
        "A snapshot must not change when the site moves on.",
    )
    for way in ("later in the same try", "after another try"):
        if way == "after another try":
            _run(site, starts[1], actions[:half])
        back = _frozen(site.restore(saved))
        demand(
            back.t_ns == at.t_ns and _same_values(back, at), f"restore {way} must return the very step of the snapshot."
        )
        again = [_frozen(site.step(action)) for action in actions[half:]]
        demand(_same(after, again), f"Stepping on after restore ({way}) must give what it gave before, bit for bit.")


def _check_expert(site: Site, starts: Sequence[Start]) -> None:
    if not isinstance(site, Demonstrable):
        return
    spec, successes = site.spec, 0
    for start in starts:
        operator = site.expert(start.seed)
        demand(operator.name, "An operator must have a name.")
        steps = [_frozen(site.reset(start))]
        for _ in range(spec.horizon_steps):
            action = operator.act(steps[-1].observation)
            demand(action is not None, "A scripted expert must always act.")
            value = np.asarray(action)
            demand(
                value.shape == spec.action_low.shape and np.isfinite(value).all(),
                "The expert's action must be (d,) and finite.",
            )
            demand(
                ((value >= spec.action_low) & (value <= spec.action_high)).all(),
                "The expert must act within the bounds of the spec.",
            )
            steps.append(_frozen(site.step(value)))
            if steps[-1].success:
                break
        _check_steps(spec, steps)
        successes += steps[-1].success
    demand(
        2 * successes >= len(starts),
        f"The expert must show how it is done; it succeeded in {successes} of {len(starts)} tries.",
    )


def _check_picture(site: Site, start: Start) -> None:
    if not isinstance(site, Renderable):
        return
    site.reset(start)
    try:
        picture = site.render(height=48, width=64)
    except SiteFault:
        return  # the contract's way to say that no offscreen renderer works here
    demand(picture.shape == (48, 64, 3) and picture.dtype == np.uint8, "render must return uint8 (height, width, 3).")
