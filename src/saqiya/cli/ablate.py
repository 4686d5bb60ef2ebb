"""The command that asks whether choosing by a score helps here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from saqiya.cli.app import NO, JsonFlag, Where, app, opened
from saqiya.cli.show import emit, rows, say

RIVALS = ("random", "longest", "plain")


@app.command()
def ablate(
    choose: Annotated[int, typer.Option(help="How many of the candidates to choose.")] = 10,
    score: Annotated[
        str, typer.Option(help="novelty, worth, bits, surprisal, learnable, length or random: the null.")
    ] = "novelty",
    seeds: Annotated[int, typer.Option(help="How often every arm is retrained; 4 or more.")] = 8,
    tries: Annotated[int, typer.Option(help="Tries that judge each policy, where there is a site.")] = 50,
    candidates: Annotated[
        list[str] | None, typer.Option("--from", help="Candidates: a subset, version or episodes; else corrections.")
    ] = None,
    base: Annotated[list[str] | None, typer.Option(help="What all learn from; else the bootstrap.")] = None,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Ask retrained policies whether choosing by a score beats random, longest-first and plain demonstrations.

    Ends with exit code 1 when the answer is no.
    """
    with opened(where, quiet=as_json) as wheel:
        if not as_json:
            say(wheel.pump.foresee_ablation(seeds, tries))  # before anything runs
        made = wheel.pump.ablate(
            candidates or (), choose=choose, score=score, seeds=seeds, tries=tries, base=base or ()
        )
    if as_json:
        emit(made)
    else:
        _show(made.report)
        say(made.answer)
    if not made.gained:
        raise typer.Exit(NO)


def _show(report: Mapping[str, Any]) -> None:
    table = [
        (
            name,
            f"{arm['value']:.3f} ({arm['low']:.3f} to {arm['high']:.3f})",
            f"{arm['episodes']:.0f}",
            f"{arm['human_steps']:.0f}",
            f"{arm['takeovers']:.0f}",
        )
        for name, arm in sorted(report["arms"].items(), key=lambda item: item[0] in RIVALS)
    ]
    judged = (
        f"{report['tries']} tries each"
        if report["tries"]
        else f"{report['judges']} held-out episodes (no site); written below 0, so that more is better"
    )
    title = f"{report['measure']} of retrained policies, {report['seeds']} seeds, {judged}"
    rows(title, ("arm", "mean (95 %)", "episodes", "human steps", "takeovers"), table)
    rows(
        "Chosen less rival",
        ("rival", "difference (95 %)", "sign-flip p"),
        [
            (d["rival"], f"{d['value']:+.3f} ({d['low']:+.3f} to {d['high']:+.3f})", f"{d['p']:.3f}")
            for d in report["differences"]
        ],
    )
    top, agrees = report["ceiling"], report["score_agreement"]
    own = (
        "too few to say"
        if agrees["rho"] is None
        else f"{agrees['rho']:.2f} ({agrees['low']:.2f} to {agrees['high']:.2f})"
    )
    say(
        f"Split-half ceiling: {top['ceiling']:.2f} ({top['low']:.2f} to {top['high']:.2f}) over {top['choices']} "
        f"choices; the score's rank correlation with what random choices came to: {own}."
    )
    left = f"{report['failed']} failed and {report['junk']} junk of {report['candidates']} candidates"
    say(f"Rollouts: {report['rollouts']}. The score left out {left}.")
    for name in report["missing"]:
        say(f"No {name} arm: there are not enough plain demonstrations to reach the chosen ones' cost.")
