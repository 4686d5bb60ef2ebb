"""The whole wheel on Metaworld's pick-place-v3: `make demo`, or `python examples/demo.py FOLDER --seed N`.

Nobody here wrote the task or its expert. A second call goes on where the first one stopped, or shows the result.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from saqiya.cli.show import Live, rows, say, success_text
from saqiya.loop.drill import drill
from saqiya.loop.episode.clips import render_medoids
from saqiya.loop.figures import stopped_because
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.pages.wheel_page import success_picture

SEED = 0
SITE = "metaworld-pick-place"
CONFIG = """\
[task]
name = "{task}"
criterion = "{criterion}"
embodiment = "{embodiment}"

[site]
name = "metaworld-pick-place"

[run]
seed = {seed}
workers = 2

[bootstrap]          # narrow on purpose: the first policy is to be half good
demonstrations = 25
region = 0.5
smoke = 10

[train]
trainer = "ensemble"
chunk = 8
execute = 2
settings = {{ members = 4, layers = 2, width = 128, steps = 1000 }}

[correct]
per_turn = 25
"""


def prepare(folder: Path, seed: int) -> None:
    """Make the demo's workspace, unless it is there already."""
    if (folder / "workspace.json").exists():
        return
    with Flywheel.init(folder, site=SITE, seed=seed) as wheel:
        task = wheel.config.task
        text = CONFIG.format(task=task.name, criterion=task.criterion, embodiment=task.embodiment, seed=seed)
    (folder / "saqiya.toml").write_text(text, encoding="utf-8")


def turn_until_rest(folder: Path, *, quiet: bool = False) -> None:
    """Turn the wheel until it says why it rests; each turn is durable by itself."""
    with Flywheel(folder, progress=Live(quiet=quiet)) as wheel:
        while not stopped_because(wheel):
            figures = wheel.turn().figures
            if not quiet:
                say(f"turn {figures['turn']}: {figures['decision']}, success {success_text(figures['success'])}")


def refuse_poison(folder: Path, *, quiet: bool = False) -> None:
    """Show one refusal: a candidate from a mix of which half has a recording fault."""
    with Flywheel(folder, progress=Live(quiet=quiet)) as wheel:
        champion = wheel.champion()
        trained_on = wheel.training_episodes(champion[0]) if champion else []
        decision = drill(wheel, count=len(trained_on))
        if not quiet:
            say(f"poisoned candidate: {decision.decision}\n  {decision.reasons[0]}")


def show(folder: Path, *, quiet: bool = False) -> None:
    """Film the medoid failures, write the page, and print the turns and the next command."""
    with Flywheel(folder, progress=Live(quiet=quiet)) as wheel:
        notes = render_medoids(wheel, folder / "clips").notes
        page = wheel.write_pages()
        success_picture(wheel, folder / "success.svg")
        if quiet:
            return
        for note in notes:
            say(note)
        table = [
            (f["turn"], f["decision"], f["demonstrations"], f["human_steps"], success_text(f["success"]), f["cycle_s"])
            for f in (turn.figures for turn in wheel.turns())
        ]
        rows("The wheel", ("turn", "decision", "demonstrations", "human steps", "success (95 %)", "seconds"), table)
        say(f"Rests: {stopped_because(wheel)}.\nPage: {page}\nNext: saqiya status -w {folder}")


def main() -> int:
    """Run the demo and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=Path("demo"))
    parser.add_argument("--seed", type=int, default=SEED)
    asked = parser.parse_args()
    prepare(asked.folder, asked.seed)
    turn_until_rest(asked.folder)
    refuse_poison(asked.folder)
    show(asked.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
