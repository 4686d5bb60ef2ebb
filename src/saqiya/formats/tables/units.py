"""Units that tables are written in, and how one becomes another. Only what a mapping declares is converted."""

from __future__ import annotations

import math

__all__ = ["factor", "known_units"]

_POUND_FORCE_N = 4.4482216152605
_SCALES: tuple[dict[str, float], ...] = (
    {"rad": 1.0, "mrad": 1e-3, "deg": math.pi / 180, "rev": 2 * math.pi},
    {
        "rad/s": 1.0,
        "mrad/s": 1e-3,
        "deg/s": math.pi / 180,
        "rpm": 2 * math.pi / 60,
    },
    {"m": 1.0, "dm": 0.1, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "in": 0.0254, "ft": 0.3048},
    {"m/s": 1.0, "cm/s": 1e-2, "mm/s": 1e-3, "km/h": 1 / 3.6},
    {"m/s^2": 1.0, "mm/s^2": 1e-3, "g0": 9.80665},
    {"N": 1.0, "mN": 1e-3, "kN": 1e3, "kgf": 9.80665, "lbf": _POUND_FORCE_N},
    {"Nm": 1.0, "mNm": 1e-3, "Ncm": 1e-2, "Nmm": 1e-3, "lbf in": _POUND_FORCE_N * 0.0254},
    {"A": 1.0, "mA": 1e-3},
    {"V": 1.0, "mV": 1e-3},
    {"kg": 1.0, "g": 1e-3},
    {"Pa": 1.0, "hPa": 1e2, "kPa": 1e3, "MPa": 1e6, "bar": 1e5, "mbar": 1e2},
    {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9},
)


def factor(source: str, target: str) -> float | None:
    """Return what a value in `source` is multiplied by to be in `target`; None where the two do not measure the same.

    >>> round(factor("deg", "rad") * 180, 5)
    3.14159
    """
    for scale in _SCALES:
        if source in scale and target in scale:
            return scale[source] / scale[target]
    return None


def known_units() -> tuple[str, ...]:
    """Return every unit that can be converted."""
    return tuple(unit for scale in _SCALES for unit in scale)
