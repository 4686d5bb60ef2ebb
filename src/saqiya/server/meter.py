"""What the server does, for whoever runs it: counters and times in Prometheus' text form, and lines of JSON as its log.

A line names method, path, status, time, person and address, and never what stood behind the `?` or in the body: links
that sign in, tokens and passwords travel there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["LOG", "Lines", "Meter", "Metered", "logging_to_stderr"]

LOG: Final = logging.getLogger("saqiya.serve")
BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
CHANGES: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})
METHODS: Final = CHANGES | {"GET", "HEAD", "OPTIONS"}


class Meter:
    """Counts answers since the server started; only the event loop's thread writes to it."""

    def __init__(self) -> None:
        self.under_way = 0
        self._answers: Counter[tuple[str, str, int]] = Counter()
        self._buckets = {kind: [0] * (len(BOUNDS_S) + 1) for kind in ("read", "change")}
        self._seconds = dict.fromkeys(self._buckets, 0.0)

    def saw(self, method: str, route: str, status: int, seconds: float) -> None:
        """Take in an answer and how long its asker waited for its beginning."""
        kind = "change" if method in CHANGES else "read"
        self._answers[method, route, status] += 1
        self._buckets[kind][bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[kind] += seconds

    def text(self, gauges: Mapping[str, tuple[str, float]], counts: Mapping[str, int]) -> str:
        """Write all of it in Prometheus' text format, version 0.0.4.

        Args:
            gauges: other numbers by name, each with what it is.
            counts: acts in the trail, by what was done.
        """
        lines = ["# HELP saqiya_answers_total Answers since the start.", "# TYPE saqiya_answers_total counter"]
        lines += [
            f'saqiya_answers_total{{method="{method}",route="{route}",status="{status}"}} {n}'
            for (method, route, status), n in sorted(self._answers.items())
        ]
        name = "saqiya_answer_seconds"
        lines += [f"# HELP {name} Seconds until an answer began.", f"# TYPE {name} histogram"]
        for kind, buckets in self._buckets.items():
            total = 0
            for bound, n in zip((*BOUNDS_S, "+Inf"), buckets, strict=True):
                total += n
                lines.append(f'{name}_bucket{{kind="{kind}",le="{bound}"}} {total}')
            lines.append(f'{name}_sum{{kind="{kind}"}} {self._seconds[kind]:.6f}')
            lines.append(f'{name}_count{{kind="{kind}"}} {total}')
        lines += ["# HELP saqiya_acts_total Entries of the trail.", "# TYPE saqiya_acts_total counter"]
        lines += [f'saqiya_acts_total{{what="{what}"}} {n}' for what, n in sorted(counts.items())]
        under_way = {"saqiya_requests_under_way": ("Requests without an answer yet.", float(self.under_way))}
        for name, (what, value) in {**under_way, **gauges}.items():
            lines += [f"# HELP {name} {what}", f"# TYPE {name} gauge", f"{name} {value:g}"]
        return "\n".join([*lines, ""])


class Metered:
    """Stands before everything else, sees every request and its answer, and changes neither."""

    def __init__(self, app: ASGIApp, meter: Meter) -> None:
        self._app, self._meter = app, meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and note what became of it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        clock, status, began = asyncio.get_running_loop().time, [500], [0.0]
        start_s = clock()

        async def seen(message: Message) -> None:
            if message["type"] == "http.response.start":
                status[0], began[0] = message["status"], clock()
            await send(message)

        self._meter.under_way += 1
        try:
            await self._app(scope, receive, seen)
        finally:
            self._meter.under_way -= 1
            seconds = (began[0] or clock()) - start_s
            self._meter.saw(
                scope["method"] if scope["method"] in METHODS else "other", _route(scope), status[0], seconds
            )
            if LOG.isEnabledFor(logging.INFO):
                LOG.info("request", extra={"facts": _facts(scope, status[0], seconds)})


def _route(scope: Scope) -> str:
    """Return the address that answered as the code has it, so that there are as many names as routes."""
    if scope["path"].startswith("/static/"):
        return "/static"
    return str(getattr(scope.get("route"), "path", "none"))


def _facts(scope: Scope, status: int, seconds: float) -> dict[str, Any]:
    who = scope.get("state", {}).get("who")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(1e3 * seconds, 1),
        "who": who.name if who is not None else "",
        "from": scope["client"][0] if scope.get("client") else "",
    }


class Lines(logging.Formatter):
    """Writes a record as one line of JSON: t, level, what, the facts beside it, and the trace of a fault."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        t = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        said: dict[str, Any] = {"t": t, "level": record.levelname.lower(), "what": record.getMessage()}
        said |= getattr(record, "facts", {})
        if record.exc_info:
            said["trace"] = self.formatException(record.exc_info)
        return json.dumps(said)


def logging_to_stderr(*, requests: bool) -> None:
    """Write what the server has to say to standard error: warnings and faults, and with `requests` every request."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    for name, level in ((LOG.name, logging.INFO if requests else logging.WARNING), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
