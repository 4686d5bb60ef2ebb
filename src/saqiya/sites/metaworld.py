"""Tasks of Metaworld as sites: MuJoCo, a Sawyer arm, and scripted experts that nobody here wrote."""

from __future__ import annotations

from saqiya.sites.sawyer import FACTORS, Sawyer, Task

__all__ = ["FACTORS", "PickPlace", "PickPlaceWall", "Push"]


class PickPlace(Sawyer):
    """Pick a puck and bring it to a goal in the air."""

    def __init__(self) -> None:
        """Load the model."""
        phases = ("reach", "grasp", "lift", "place")
        super().__init__(Task("metaworld-pick-place", "pick-place-v3", 0.07, FACTORS, phases, horizon_steps=120))


class PickPlaceWall(Sawyer):
    """Pick a puck and bring it over a wall to a goal in the air behind it."""

    def __init__(self) -> None:
        """Load the model."""
        phases = ("reach", "grasp", "lift", "place")
        super().__init__(
            Task("metaworld-pick-place-wall", "pick-place-wall-v3", 0.07, FACTORS, phases, horizon_steps=150)
        )


class Push(Sawyer):
    """Push a puck along the table, between closed fingers, to a goal on the table."""

    def __init__(self) -> None:
        """Load the model."""
        phases = ("reach", "grasp", "place")
        super().__init__(Task("metaworld-push", "push-v3", 0.05, FACTORS[:4], phases, horizon_steps=120))
