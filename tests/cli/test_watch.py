"""`saqiya turn --watch` does what was asked for on a page."""

import os
import signal
import subprocess
import sys

from saqiya.loop.flywheel import Flywheel
from saqiya.loop.people.wishes import wish


def test_a_wish_is_done_by_whoever_watches(turned):
    with Flywheel(turned) as wheel:
        wish(wheel, by="rob")
    command = [sys.executable, "-u", "-m", "saqiya", "turn", "--watch", "-w", str(turned)]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        for line in watching.stdout:
            if line.startswith(("turn 2:", "Rests:", "Next:")):
                break
    finally:
        os.killpg(watching.pid, signal.SIGTERM)
        watching.wait()
        watching.stdout.close()
    with Flywheel(turned) as wheel:
        assert wheel.number == 3
