"""`interface`: requests drawn from the interface's own description, one by one and in chains; none ends in a fault."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.python.asgi import HOST
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from benchmarks._odd import asked_oddly
from benchmarks.harness import Figure, Measured, at_most, exactly, shown
from saqiya.domain.words import Rank
from saqiya.loop.flywheel import Flywheel
from saqiya.server.app import create_app
from saqiya.server.settings import ServerSettings

__all__ = ["run"]

COMMAND = "make bench ONLY=interface"
SEED = 20261121
DRAWN, CHAINS, STEPS = 50, 50, 10
ODDLY = 4000
CHECKS = (
    not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance,
    negative_data_rejection, unsupported_method,
)  # fmt: skip


def run(*, quick: bool = False) -> Iterator[Figure]:
    """Yield how many requests ended in a fault, of how many."""
    drawn, chains = (2, 2) if quick else (DRAWN, CHAINS)
    with tempfile.TemporaryDirectory(prefix="saqiya-interface-") as folder:
        root = Path(folder) / "w"
        with Flywheel.init(root, site="tiny", trainer="ridge", workers=0) as wheel:
            wheel.turn()
            wheel.turn()
        with Flywheel(root) as wheel:
            headers = _headers(wheel)
            app = create_app(wheel, ServerSettings(secret=bytes(32), public=f"http://{HOST}"))
            faults, asked, operations = _asked(app, headers, drawn, chains)
            oddly = 100 if quick else ODDLY
            told = {**headers, "host": HOST}
            odd_faults, addresses = asked_oddly(app, wheel, told, seed=SEED, requests=oddly)
    yield at_most("interface.faults", Measured(faults, faults, faults, 1), 0, command=COMMAND)
    yield shown("interface.requests", exactly(asked), command=COMMAND)
    yield shown("interface.operations", exactly(operations), command=COMMAND)
    yield at_most("interface.oddly.faults", Measured(odd_faults, odd_faults, odd_faults, 1), 0, command=COMMAND)
    yield shown("interface.oddly.requests", exactly(oddly), command=COMMAND)
    yield shown("interface.oddly.addresses", exactly(addresses), command=COMMAND)


def _headers(wheel: Flywheel) -> dict[str, str]:
    wheel.staff.add("admin", Rank.ADMIN, by="bench")
    secret = wheel.staff.issue("admin", "bench", [Rank.ADMIN.value], days=1, by="bench")[1]
    return {"Authorization": f"Bearer {secret}"}


def _asked(app: FastAPI, headers: dict[str, str], drawn: int, chains: int) -> tuple[int, int, int]:
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app, headers=dict(headers)).exclude(path="/live")
    count, faults, operations = [0], 0, 0
    for found in schema.get_all_operations():
        operations += 1
        faults += _fails(_one(found.ok().as_strategy(), headers, count, drawn))

    class Chain(schema.as_state_machine()):  # type: ignore[misc]  # made from the description at run time
        def get_call_kwargs(self, _case: Any) -> dict[str, Any]:  # noqa: ANN401 - schemathesis' own
            count[0] += 1
            return {"headers": headers}

        def validate_response(self, response: Any, case: Any, **_: Any) -> None:  # noqa: ANN401 - schemathesis' own
            case.validate_response(response, checks=CHECKS, headers=headers)

    faults += _fails(lambda: Chain.run(settings=_settings(chains, steps=STEPS)))
    return faults, count[0], operations


def _one(strategy: Any, headers: dict[str, str], count: list[int], drawn: int) -> Callable[[], None]:  # noqa: ANN401
    @seed(SEED)
    @_settings(drawn)
    @given(case=strategy)
    def ask(case: Any) -> None:  # noqa: ANN401 - schemathesis' own
        count[0] += 1
        case.call_and_validate(headers=headers, checks=CHECKS)

    return ask


def _fails(ask: Callable[[], None]) -> int:
    """Run what asks; count and print what was found."""
    try:
        ask()
    except (FailureGroup, AssertionError) as found:
        print(found, flush=True)
        return 1
    return 0


def _settings(examples: int, steps: int = 1) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=max(2, steps),
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
