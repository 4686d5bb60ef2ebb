"""What LeRobot's features are called here, and the way back: each name is found again from the other."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

__all__ = ["ROWS", "fields_of", "ours", "tells_author", "theirs"]

ROWS = ("timestamp", "frame_index", "episode_index", "index", "task_index")
"""Columns that place a row; they are no signals."""
_INTERVENTIONS = ("intervention", "is_intervention")

_IMAGES = "observation.images."
_SINGLE = "observation.image"  # what data sets with one camera call it
_NUMBERS = {"action": "action/executed", "next.reward": "reward"}


def tells_author(feature: str) -> bool:
    """Say whether a column says, row by row, that a person acted.

    The rollout's DAgger strategy writes "intervention"; what goes through LeRobot's replay buffer is called
    "complementary_info.is_intervention", and other recorders put other words before the dot.
    """
    return feature.rpartition(".")[2] in _INTERVENTIONS


def ours(feature: str, *, picture: bool, depth: bool = False) -> str:
    """Return the name of a feature's stream: "observation/state", "camera/top"; other names stay as they are."""
    if not picture:
        head, dot, rest = feature.partition(".")
        return f"observation/{rest}" if (head, dot) == ("observation", ".") else _NUMBERS.get(feature, feature)
    folder = "depth" if depth else "camera"
    if feature == _SINGLE:
        return f"{folder}/image"
    name = feature.removeprefix(_IMAGES)
    if name not in {feature, "image"} and not name.startswith("observation."):
        return f"{folder}/{name}"
    return f"{folder}/{feature}" if feature.startswith("observation.") else feature


def theirs(stream: str, *, picture: bool) -> str:
    """Return the feature that holds a stream: what `ours` made of a feature's name leads back to it.

    LeRobot forbids "/" in names, takes what begins with "observation." for a policy's input and what begins with
    "action" for its output. So sensors become observations; other actions than the executed ones, and what a policy
    says of itself, are put under "logged.".
    """
    head, slash, rest = stream.partition("/")
    if picture and slash and head in {"camera", "depth"}:
        name = rest.replace("/", ".")
        if name == "image":
            return _SINGLE
        return name if name.startswith("observation.") else f"{_IMAGES}{name}"
    for feature, own in _NUMBERS.items():
        if stream == own and not picture:
            return feature
    if head == "observation" and slash:
        return "observation." + rest.replace("/", ".")
    name = stream.strip("/").replace("/", ".") or "unnamed"
    if name in {*ROWS, *_NUMBERS} or (slash and name.split(".")[0] in {"action", "next", "policy"}):
        return f"logged.{name}"
    return f"observation.{name.removeprefix('observation.')}" if slash else name


def fields_of(names: object, shape: tuple[int, ...]) -> tuple[str, ...]:
    """Return a name for each column, () where the feature does not name all of them.

    LeRobot's data sets hold them as a list, as a list under some heading, or as a name for each index.
    """
    found: list[str] = []
    if isinstance(names, Mapping):
        if names and all(isinstance(place, int) for place in names.values()):
            found = [str(name) for name in sorted(names, key=lambda name: int(names[name]))]
        else:
            lists = [one for one in names.values() if isinstance(one, list)]
            found = [str(name) for one in lists for name in one]
    elif isinstance(names, list) and all(isinstance(name, str) for name in names):
        found = list(names)
    return tuple(found) if len(shape) == 1 and len(found) == prod(shape) else ()
