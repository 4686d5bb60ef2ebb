"""What the arrays of a try are: their names in the house, and whether they are pictures, depth, text or numbers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from saqiya.domain.streams import JsonValue
from saqiya.domain.words import AuthorKind, Source

__all__ = ["facts_of", "house_name", "is_picture", "success_word"]

ACTIONS = {"action": "action/executed", "actions": "action/executed", "act": "action/executed"}
OTHERS = {
    "reward": "reward",
    "rewards": "reward",
    "done": "done",
    "dones": "done",
    "terminal": "done",
    "terminals": "done",
    "is_first": "is_first",
    "is_last": "is_last",
    "is_terminal": "is_terminal",
    "discount": "discount",
}
FLAGS = {"success", "truncated", "terminated", "timeouts", "interventions", "policy_acting", "user_acting"}
OBSERVED = {"obs", "observation", "observations"}
SEEN = {
    "image",
    "images",
    "img",
    "imgs",
    "rgb",
    "rgbs",
    "camera",
    "cameras",
    "cam",
    "cams",
    "pixels",
    "frames",
    "video",
}
DEEP = {"depth", "depths"}
LEAST_SIDE_PX = 8
TASK_WORDS = (
    "language_instruction",
    "natural_language_instruction",
    "instruction",
    "task_description",
    "language",
    "prompt",
    "language_raw",
    "current_task",
    "lang",
    "task",
    "task_name",
    "env_name",
    "env",
)
SUCCESS = {"true": "success", "1": "success", "success": "success", "succeeded": "success"} | {
    "false": "failure", "0": "failure", "failure": "failure", "failed": "failure", "fail": "failure",
}  # fmt: skip
MOST_FACT_CHARS = 16_384
_CLOSED: Mapping[str, tuple[str, ...]] = {"source": tuple(Source), "claimed_by": tuple(AuthorKind)}
_START = {"seed", "factors"}
WHOLE = ("env_args",)
"""What a writer needs again as it was, however long."""


def words_of(name: str) -> set[str]:
    """Split a name into words without numbers: "cam0_rgb" gives "cam" and "rgb"."""
    return {word for word in re.split(r"[^a-z]+", name.lower()) if word}


def is_picture(path: str, kind: str, shape: tuple[int, ...]) -> str:
    """Say what pictures raw rows of this kind of numbers are: "camera", "depth" or "" for none.

    Colour is (T, H, W, 1, 3 or 4) or (T, 3, H, W) of bytes or fractions; grey (T, H, W) when its name says so; depth
    when its name says so.
    """
    sides = [side for side in shape[1:] if side >= LEAST_SIDE_PX]
    if len(sides) != 2 or len(shape) not in {3, 4} or kind not in "uf":
        return ""
    named = {word for part in path.split("/") for word in words_of(part)}
    if named & DEEP:
        return "depth"
    colour = len(shape) == 4 and (shape[-1] in {1, 3, 4} or (shape[1] in {1, 3, 4} and kind == "u"))
    return "camera" if colour or named & SEEN else ""


def house_name(path: str, *, picture: str = "") -> str:
    """Give an array's name in the house from its path in the file.

    `actions` is what was executed, and other actions (`actions_abs`, `base_action`) stay actions; what is below `obs`,
    `observation` or `observations`, and what lies in no group and has no other meaning, is observed; pictures are
    cameras or depth. What lies in other groups keeps its path.
    """
    parts = [part for part in path.split("/") if part]
    if picture:
        kept = [part for part in parts if part.lower() not in OBSERVED | {"images", "image", "rgb", "depth"}]
        return f"{picture}/{'/'.join(kept or parts[-1:])}"
    head = parts[0].lower() if parts else ""
    if len(parts) == 1:
        asked = f"action/{parts[0]}" if "action" in words_of(head) or "actions" in words_of(head) else ""
        return ACTIONS.get(head) or OTHERS.get(head) or asked or (head if head in FLAGS else f"observation/{parts[0]}")
    if head in {"action", "actions"}:
        return f"action/{'/'.join(parts[1:])}"
    if head in OBSERVED:
        return f"observation/{'/'.join(parts[1:])}"
    if head in {"next_obs", "next_observation", "next_observations"}:
        return f"next_observation/{'/'.join(parts[1:])}"
    return path


def facts_of(words: Mapping[str, Any]) -> dict[str, JsonValue]:
    """Give the facts that attributes state, under the words of the house; the others under their own.

    Texts that are JSON objects are opened; a text longer than a fact may be is said by its length alone.
    """
    facts: dict[str, JsonValue] = {}
    for key, value in words.items():
        opened = _opened(value)
        if isinstance(value, str) and len(value) > MOST_FACT_CHARS and key not in WHOLE:
            facts[key] = f"a text of {len(value)} characters; it is in the file"
        elif key != "outcome":
            facts[key] = opened
    flat = _flat(facts | {key: value for key, value in words.items() if key == "outcome"})
    task = next((str(flat[key]).strip() for key in TASK_WORDS if str(flat.get(key) or "").strip()), "")
    if task:
        facts["task"] = task
    robots = flat.get("robots") or flat.get("robot") or flat.get("embodiment") or flat.get("robot_type")
    if isinstance(robots, str | list) and robots:
        facts["embodiment"] = robots if isinstance(robots, str) else "+".join(str(robot) for robot in robots)
    operator = flat.get("operator") or flat.get("user_id") or flat.get("user")
    if isinstance(operator, str) and operator:
        facts["operator"] = operator
    last = {key.rpartition("/")[2]: value for key, value in flat.items()}  # "aspects/success"
    for key in ("outcome", "success", "is_success", "successful"):
        if word := success_word(flat.get(key, last.get(key))):
            facts["outcome"] = word
            break
    return {f"{key}_said" if _is_foreign(key, value) else key: value for key, value in facts.items()}


def _is_foreign(key: str, value: JsonValue) -> bool:
    """Say whether a file uses a word of the house for something else: "source": "spacemouse"."""
    if key in _CLOSED:
        return value not in _CLOSED[key]
    return key in {"faults", "skipped"} or (key == "start" and not (isinstance(value, dict) and set(value) <= _START))


def _opened(value: Any) -> Any:  # noqa: ANN401 - anything a file may hold
    """Open a text that is a JSON object."""
    if not isinstance(value, str) or not value.lstrip().startswith("{"):
        return value
    try:
        opened = json.loads(value)
    except (ValueError, RecursionError):
        return value
    return opened if isinstance(opened, dict) else value


def success_word(value: Any) -> str:  # noqa: ANN401 - anything a file may hold
    """Read "success" or "failure" from what a file says, "" when it says neither."""
    if isinstance(value, bool | int | float):
        return "success" if value == 1 else "failure" if value == 0 else ""
    return SUCCESS.get(value.strip().lower(), "") if isinstance(value, str) else ""


def _flat(words: Mapping[str, Any], *, depth: int = 3) -> dict[str, Any]:
    """Bring what is nested up; what lies higher wins."""
    flat: dict[str, Any] = {}
    for value in words.values():
        if isinstance(value, dict) and depth > 0:
            flat = _flat(value, depth=depth - 1) | flat
    return flat | {key: value for key, value in words.items() if not isinstance(value, dict)}
