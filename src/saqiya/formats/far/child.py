"""What a reader in a child process does: answer one question at a time, and die when an answer takes too long.

Libraries in C can walk in circles, crash or ask for all the memory there is when a file is damaged. Here they may: the
kernel ends this process at its limits, and the one that asked (`far.Far`) is told which question it was.

A question is a line of JSON. An answer is frames: the length of a JSON text (4 bytes, little), the text, and as many
bytes as its "bytes" says. Frames with "more" are followed by others; the last has "ok" or "error".
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

__all__ = ["Answer", "Answers", "plain", "serve"]

Answer = tuple[dict[str, Any], Any]
"""A frame: its JSON object, and a buffer of bytes or None."""
Answers = Callable[[Mapping[str, Any]], Iterator[Answer]]
MOST_TEXT_CHARS = 1_000_000
MOST_ITEMS_N = 256


def serve(handlers: Mapping[str, Answers], *, memory_bytes: int) -> None:
    """Answer questions from standard input until it ends; none may take longer than its `limit_s`."""
    for what, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_CORE, 0)):
        with contextlib.suppress(ValueError, OSError):  # a stricter limit is there already, or the system has none
            resource.setrlimit(what, (most, most))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # ends the process even inside a loop in C
    out = sys.stdout.buffer
    for line in sys.stdin.buffer:
        question = json.loads(line)
        limit_s = int(question["limit_s"])
        try:
            signal.alarm(limit_s)
            for head, body in handlers[question["ask"]](question):
                signal.alarm(0)  # whoever asked may take his time to read
                _send(out, head, body)
                signal.alarm(limit_s)
            signal.alarm(0)
            _send(out, {"ok": True}, None)
        except Exception as error:  # noqa: BLE001 - whatever a library raises over a damaged file is an answer
            signal.alarm(0)
            text = (str(error).splitlines() or [""])[0][:300] or type(error).__name__
            _send(out, {"error": text}, None)


def _send(out: IO[bytes], head: Mapping[str, Any], body: Any) -> None:  # noqa: ANN401 - anything with the buffer protocol
    view = memoryview(b"" if body is None else body).cast("B")
    text = json.dumps({**head, "bytes": view.nbytes}).encode()
    out.write(len(text).to_bytes(4, "little") + text)
    out.write(view)
    out.flush()


def plain(value: Any) -> Any:  # noqa: ANN401 - what libraries give for an attribute
    """Turn an attribute into JSON: texts and numbers as they are, short arrays as lists, all else as its type."""
    made: Any = str(type(value).__name__)
    if isinstance(value, bytes):
        made = value.decode("utf-8", "replace")[:MOST_TEXT_CHARS]
    elif isinstance(value, str):
        made = value.encode("utf-8", "replace").decode()[:MOST_TEXT_CHARS]
    elif isinstance(value, bool | int | type(None)):
        made = value
    elif isinstance(value, float):
        made = float(value) if value - value == 0 else str(value)  # JSON has no NaN
    elif isinstance(value, dict):
        made = {str(key)[:1000]: plain(one) for key, one in list(value.items())[:MOST_ITEMS_N]}
    elif isinstance(value, list | tuple):
        made = [plain(one) for one in value[:MOST_ITEMS_N]]
    elif hasattr(value, "tolist") and getattr(value, "size", MOST_ITEMS_N + 1) <= MOST_ITEMS_N:
        listed = value.tolist()
        if isinstance(listed, list) and len(listed) == 1 and value.shape == (1,):
            listed = listed[0]  # many tools write a word as an array of one
        made = plain(listed) if type(listed) is not type(value) else made
    return made
