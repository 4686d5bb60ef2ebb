"""`saqiya serve`: the pages and the JSON interface on this machine, until it is told to stop."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from saqiya.cli.app import JsonFlag, Where, app, opened
from saqiya.cli.show import emit, say
from saqiya.errors import UnknownPlugin, UsageError


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 8787,
    public: Annotated[str, typer.Option(help="The address that people type: https://saqiya.lab. Default: ours.")] = "",
    proxy: Annotated[
        list[str] | None,
        typer.Option(help="Address or network of the TLS proxy, where it is not this machine. Repeat it."),
    ] = None,
    log_requests: Annotated[
        bool, typer.Option("--log-requests", help="Write a line of JSON for every request.")
    ] = False,
    where: Where = Path(),
    as_json: JsonFlag = False,
) -> None:
    """Serve the workspace's pages to people, and its interface to programs, until Ctrl-C."""
    if find_spec("fastapi") is None:
        raise UnknownPlugin("needs libraries", subject="serve", remedy="pip install 'saqiya[serve]'")
    from saqiya.server.meter import logging_to_stderr
    from saqiya.server.run import listening, prepared, serve_on
    from saqiya.server.settings import ServerSettings, is_loopback, read_secret

    with opened(where, quiet=True) as wheel:
        somebody = any(not one.disabled for one in wheel.staff.people.all())
        secret = read_secret(wheel.store.root, make=is_loopback(host) or somebody)
        proxies = tuple(proxy or ()) or ServerSettings.proxies
        settings = ServerSettings(secret=secret, host=host, port=port, public=public, proxies=proxies)
        if proxy and not settings.https:
            raise UsageError(
                "a proxy's word is taken where it speaks https alone",
                subject="--proxy",
                remedy="Say how people reach it: --public https://saqiya.lab.",
            )
        logging_to_stderr(requests=log_requests)
        with listening(wheel, settings) as place:
            made, link = prepared(wheel, settings)
            if as_json:
                emit({"address": settings.address, "sign_in": link})
            else:
                _tell(settings.address, link, open_air=not is_loopback(host) and not settings.https)
            serve_on(made, settings, place)


def _tell(address: str, link: str, *, open_air: bool) -> None:
    from saqiya.server.run import FIRST

    say(f"{address} serves the workspace; Ctrl-C stops it.")
    if link:
        say(f"Nobody could sign in. This link signs you in as {FIRST}, once, within a day:\n{link}")
        say(f"Was it lost? saqiya people password {FIRST} makes a password.")
    if open_air:
        say(
            "Warning: without https, passwords can be read on the way. Put a proxy with TLS before it: --public https://.."
        )
