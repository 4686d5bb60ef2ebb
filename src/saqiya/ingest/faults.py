"""Hard faults of a try, each with figures: what breaks learning and diagnosis whatever the task is.

Soft scores rank; hard faults gate. What is done about a finding is the rules' word (`ingest.findings`).
"""

from __future__ import annotations

from saqiya.domain.streams import EpisodeLog
from saqiya.ingest.fault_frozen import check_frozen, check_nothing_moves
from saqiya.ingest.fault_lag import check_lags
from saqiya.ingest.fault_values import (
    check_constant,
    check_finite,
    check_glitches,
    check_saturation,
    check_units,
    filling_of,
    table_of,
)
from saqiya.ingest.fault_video import check_cameras, check_declared
from saqiya.ingest.findings import Finding
from saqiya.models.roles import roles_of, sensors

__all__ = ["check_faults"]


def check_faults(log: EpisodeLog) -> tuple[Finding, ...]:
    """Look for hard faults in values, in step, and in cameras; clocks have an audit of their own."""
    found = check_declared(log.metadata)
    live = {name: stream for name, stream in sensors(log).items() if stream.t_ns.size}
    for name, stream in live.items():
        values, roles = table_of(stream), roles_of(name, stream)
        found += check_finite(name, values, filling_of(stream, log.streams.get(f"{name}/count")))
        found += check_constant(name, stream, values, roles)
        found += check_glitches(name, stream, values)
        found += check_saturation(name, stream, values, roles)
        found += check_units(name, stream, values)
    still = check_nothing_moves(live)
    found += still
    if not still:
        found += check_frozen(live)
        found += check_lags(live)
    if log.videos or log.streams:
        found += check_cameras(log, moves=not still and bool(live))
    return tuple(found)
