"""The tiny site's table from above, with numpy alone: every shape is a bar, and its edge is a pixel soft."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["draw"]

Point = tuple[float, float]

SEEN_M = (-0.62, 0.62, -0.30, 0.62)
"""What of the table is in the picture: x from and to, y from and to."""
TABLE, ARM, PUCK, GOAL, JAW = (250, 250, 248), (84, 110, 150), (214, 107, 44), (116, 178, 112), (40, 55, 80)
ARM_M, PUCK_M, GOAL_M, RING_M, JAW_M = 0.014, 0.040, 0.044, 0.036, 0.010


def draw(arm: Sequence[Point], *, puck: Point, goal: Point, jaw: float, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return uint8 (height, width, 3) RGB.

    Args:
        arm: its joints from the shoulder to the hand, m.
        puck: its middle, m.
        goal: its middle, m.
        jaw: opening, 0..1.
        size: height and width in pixels; the table keeps its proportions.
    """
    height, width = size
    left, right, near, far = SEEN_M
    scale = min(width / (right - left), height / (far - near))
    picture = np.empty((height, width, 3), np.uint8)
    picture[:] = TABLE

    def pixel(point: Point) -> Point:
        return width / 2 + (point[0] - (left + right) / 2) * scale, height / 2 - (point[1] - (near + far) / 2) * scale

    def bar(one: Point, other: Point, radius_m: float, colour: tuple[int, int, int]) -> None:
        _bar(picture, pixel(one), pixel(other), radius_m * scale, colour)

    bar(goal, goal, GOAL_M, GOAL)
    bar(goal, goal, RING_M, TABLE)
    bar(puck, puck, PUCK_M, PUCK)
    for one, other in pairwise(arm):
        bar(one, other, ARM_M, ARM)
    for finger in _fingers(arm[-2], arm[-1], jaw):
        bar(finger, finger, JAW_M, JAW)
    return picture


def _fingers(elbow: Point, hand: Point, jaw: float) -> tuple[Point, Point]:
    """Return the two fingers' places: across the last link, as far apart as the jaws are open."""
    along = math.atan2(hand[1] - elbow[1], hand[0] - elbow[0])
    across_x, across_y, half_m = -math.sin(along), math.cos(along), JAW_M + 2 * PUCK_M * jaw
    return (
        (hand[0] + half_m * across_x, hand[1] + half_m * across_y),
        (hand[0] - half_m * across_x, hand[1] - half_m * across_y),
    )


def _bar(picture: NDArray[np.uint8], one: Point, other: Point, radius: float, colour: tuple[int, int, int]) -> None:
    """Paint all that is within `radius` of a line; all in pixels. Only the part of the picture around it is touched."""
    height, width = picture.shape[:2]
    first_x, last_x = (round(f(one[0], other[0]) + s * (radius + 1)) for f, s in ((min, -1), (max, 1)))
    first_y, last_y = (round(f(one[1], other[1]) + s * (radius + 1)) for f, s in ((min, -1), (max, 1)))
    rows, columns = slice(max(0, first_y), min(height, last_y)), slice(max(0, first_x), min(width, last_x))
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None, :] - np.float32(one[0])
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(one[1])
    dx, dy = other[0] - one[0], other[1] - one[1]
    length = dx * dx + dy * dy
    share = np.clip((x * dx + y * dy) / length, 0.0, 1.0) if length else np.zeros((1, 1), np.float32)
    cover = np.clip(radius + 0.5 - np.hypot(x - share * dx, y - share * dy), 0.0, 1.0)[..., None]
    part = picture[rows, columns]
    part += (cover * (np.array(colour, np.float32) - part)).round().astype(np.int16).astype(np.uint8)
