"""A nursery: imports what a turn needs once, then forks one `saqiya` process after another, each to be killed.

Starting Python and importing scipy, scikit-learn, SQLAlchemy and DBOS takes longer than a turn of the tiny site. So
this process imports them, starts nothing (no thread, no connection), and forks. A fork is a process of its own, in a
group of its own: `kill -9` ends it as it ends any other, without a word and in the middle of a line.

Lines in: a JSON list of arguments, then an empty line to ask for the end. Lines out: `born <pid>`, then `died <pid>
<exit code or -signal>`. Until it is asked for, the dead keep their process id, so that nobody else can be struck.
"""

import json
import os
import sys
import traceback
from importlib import import_module

for name in (
    "alembic.command",
    "dbos",
    "dbos._sys_db_sqlite",
    "google.protobuf.json_format",
    "jinja2",
    "scipy.stats",
    "sklearn.neighbors",
    "safetensors.numpy",
    "saqiya.cli.look",
    "saqiya.cli.verbs",
    "saqiya.detect.disagreement",
    "saqiya.detect.distance",
    "saqiya.formats.mcap.log",
    "saqiya.formats.mcap.container",
    "saqiya.formats.mcap.scan",
    "saqiya.loop.smoke",
    "saqiya.loop.pages.wheel_page",
    "saqiya.loop.worker",
    "saqiya.sites.tiny",
    "saqiya.train.ridge",
):
    import_module(name)


def live(arguments: list[str]) -> None:
    """Be `saqiya <arguments>`, and end the way the command does."""
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    sys.argv = ["saqiya", *arguments]
    code = 0
    try:
        import_module("saqiya.cli.app").main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception as error:  # noqa: BLE001 - what the command let through is what the test must see
        traceback.print_exception(error)
        code = 70
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            live(json.loads(line))
        os.setpgid(pid, pid)
        print("born", pid, flush=True)
        sys.stdin.readline()
        _, status = os.waitpid(pid, 0)
        print("died", pid, os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
