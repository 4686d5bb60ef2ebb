"""Write the interface's description: `python -m saqiya.server.openapi docs/openapi.json`, which is `make openapi`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from saqiya.server.app import described, description

__all__ = ["text"]


def text() -> str:
    """Return the description as it is committed."""
    return json.dumps(description(described()), indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(text(), encoding="utf-8")
