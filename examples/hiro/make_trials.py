"""Write a trials table for the HIRO folders from their names, with the mistakes that real tables have.

    python examples/hiro/make_trials.py trials.csv SUCCESS_FOLDER ERROR_FOLDER [--right]

A few rows are wrong on purpose: a log that does not exist, two rows that disagree about one log, an outcome word that
means nothing, a blank row, a number that fits two logs. One log gets no row. With --right there are no mistakes.
"""

from __future__ import annotations

import csv
import re
import sys
from pathlib import Path

NAME = re.compile(r"(\d{8})-HIRO(SA-S|_ERROR)-(\d+)$")
HEADER = ["Log", "Trial", "Policy", "Task", "Result", "Operator", "Date"]


def rows_of(folders: list[Path]) -> list[list[str]]:
    """Return one right row for each try, its policy named by the set it comes from."""
    rows = []
    for path in sorted(child for folder in folders for child in folder.iterdir() if child.is_dir()):
        if found := NAME.search(path.name):
            day, kind, number = found.groups()
            good = kind == "SA-S"
            date = f"{day[:4]}-{day[4:6]}-{day[6:]}"
            policy = f"pivot-approach-{day[:4]}"
            result = "ok" if good else "FAIL"
            rows.append([path.name, number, policy, "snap-assembly", result, "not recorded", date])
    return rows


def with_mistakes(rows: list[list[str]]) -> list[list[str]]:
    """Spoil a few rows, the way hands do."""
    good = [row for row in rows if row[4] == "ok"]
    again = [*good[0][:4], "failed", *good[0][5:]]
    lost = ["20990101-HIROSA-S-99", "99", *good[0][2:4], "ok", "not recorded", "2099-01-01"]
    unclear = [*good[1][:4], "so-so", *good[1][5:]]
    both = ["", "03", *good[0][2:4], "ok", "not recorded", ""]
    told = [row for row in rows if row not in (good[1], good[-1])]  # the last good one gets no row
    return [*told, unclear, again, lost, [""] * len(HEADER), both]


def main() -> None:
    """Write the table to the first argument from the folders in the others."""
    out, *folders = (Path(argument) for argument in sys.argv[1:] if argument != "--right")
    rows = rows_of(folders)
    if not rows:
        sys.exit("No HIRO folders there. Usage: make_trials.py trials.csv SUCCESS_FOLDER ERROR_FOLDER")
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows if "--right" in sys.argv else with_mistakes(rows))
    print(f"{out}: {len(rows)} tries")


if __name__ == "__main__":
    main()
