"""Draft a table mapping for a folder: what its files look like, why, and what only the team can know (TODO)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.open import DOCUMENTS
from saqiya.formats.tables.mapping import FILE_NAME, parse_mapping
from saqiya.formats.tables.peek import Look, peek
from saqiya.formats.tables.suggest_columns import Judged, judge, outcome_of, role_of, share_clock, slug
from saqiya.formats.tables.table import SUFFIXES, TableFormat

__all__ = ["suggest"]

MOST_FILES = 20_000
MOST_LOOKS = 60
"""Files that are looked into; of more, some from everywhere."""
MOST_ROLES = 24
_WORDS = re.compile(r"[A-Za-z]+")


@dataclass
class _Draft:
    """A mapping on its way."""

    layout: str
    match: str = ""
    why: list[str] = field(default_factory=list)
    looks: dict[str, Look] = field(default_factory=dict)
    """A look at each kind of file, by its pattern ("" for layout "file")."""
    everywhere: set[str] = field(default_factory=set)
    labels: set[str] = field(default_factory=set)
    shared: list[str] = field(default_factory=list)
    """Lines that every section would repeat: they become [defaults]."""
    tries: int = 0


def suggest(folder: Path) -> str:
    """Return a mapping's text for the tables below `folder`, commented, that parses and reads as it stands.

    What the files do not say (units, rates, what an action is) is marked TODO; nothing is guessed without a word.

    Raises:
        UnreadableLog: there is no table of numbers below `folder`.
    """
    files = _tables(folder)
    looks, others = _looks(files)
    if not looks:
        said = "; ".join(f"{path.name} {why}" for path, why in list(others.items())[:3])
        raise UnreadableLog(
            f"holds no table of numbers{f' ({said})' if said else ''}",
            subject=str(folder),
            remedy="Name the folder with the tables (text, npy, npz or Parquet).",
        )
    draft = _folders(files, looks) or _siblings(files, looks) or _singles(files, looks)
    lines = _written(folder, draft, files)
    left = {_shape(path.relative_to(folder).as_posix()): why for path, why in others.items()}
    lines += [f"# Not understood: {name}: {why}" for name, why in list(left.items())[:10]]
    text = "\n".join(re.sub(r"[^\S ]|[^\x20-\U0010ffff]", " ", line) for line in lines) + "\n"
    return _checked(text, folder)


def _tables(folder: Path) -> list[Path]:
    found = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        wanted = path.suffix.lower() in SUFFIXES and path.stem.lower() not in DOCUMENTS and path.name != FILE_NAME
        if wanted and not any(part.startswith(".") for part in parts) and path.is_file() and not path.is_symlink():
            found.append(path)
        if len(found) >= MOST_FILES:
            break
    return found


def _looks(files: Sequence[Path]) -> tuple[dict[Path, Look], dict[Path, str]]:
    """Look into some files, spread over all of them and over every name that repeats."""
    named: dict[str, list[Path]] = {}
    for path in files:
        named.setdefault(_shape(path.name), []).append(path)
    each = max(3, MOST_LOOKS // len(named)) if named else 0
    chosen = [path for same in list(named.values())[:MOST_LOOKS] for path in same[:: max(1, len(same) // each)][:each]]
    looks: dict[Path, Look] = {}
    others: dict[Path, str] = {}
    for path in chosen:
        try:
            looks[path] = peek(path)
        except (UnreadableLog, OSError) as error:
            others[path] = error.what if isinstance(error, UnreadableLog) else str(error)
    return looks, others


def _folders(files: Sequence[Path], looks: dict[Path, Look]) -> _Draft | None:
    """Draft the layout "folder", where the same names come again in many folders or one folder's files differ."""
    homes: dict[Path, list[Path]] = {}
    for path in files:
        homes.setdefault(path.parent, []).append(path)
    roles: dict[str, list[Path]] = {}
    for home, inside in homes.items():
        own = re.compile(rf"(?<![A-Za-z0-9]){re.escape(home.name)}(?![A-Za-z0-9])")  # 1/joint1.csv, 1/1_force.csv
        for path in inside:
            roles.setdefault(own.sub("*", path.name), []).append(path)
    common = {role: same for role, same in roles.items() if len(same) >= max(2, 0.05 * len(homes))}
    if len(homes) < 2 or len(common) > MOST_ROLES or sum(map(len, common.values())) < 0.5 * len(files):
        alone = next(iter(homes.values()))
        kinds = {looks[path].signature for path in alone if path in looks and not looks[path].labels}
        if len(homes) != 1 or not 2 <= len(alone) <= MOST_ROLES or len(kinds) < len(alone) or _grouped(alone):
            return None
        common = {path.name: [path] for path in alone}
    draft = _Draft("folder", tries=len({path.parent for same in common.values() for path in same}))
    for role, same in sorted(common.items()):
        seen = [path for path in same if path in looks]
        if seen:
            draft.looks[role] = max((looks[path] for path in seen), key=lambda look: len(look.cells))
            draft.everywhere |= {role} if len(same) == draft.tries else set()
    if not draft.looks:
        return None
    draft.match = _match({home.name for home in homes if homes[home]})
    names = ", ".join(sorted(common))
    many = f"{draft.tries} folders hold files of the same names ({names}): a folder is a try"
    draft.why.append(
        many if len(homes) > 1 else f"the folder's files differ in kind ({names}): together they are a try"
    )
    return draft


def _siblings(files: Sequence[Path], looks: dict[Path, Look]) -> _Draft | None:
    """Draft the layout "files", where names share a part: run1_force.csv beside run1_joint.csv."""
    found = _grouped(files)
    if found is None:
        return None
    separator, first, roles = found
    suffix = _escaped(files[0].suffix)
    words = "|".join(_escaped(role) for role in sorted(roles))
    part = (
        rf"(?P<episode>[^/]+){_escaped(separator)}(?:{words})"
        if first
        else rf"(?:{words}){_escaped(separator)}(?P<episode>[^/]+)"
    )
    draft = _Draft("files", match=rf"/{part}{suffix}$", tries=max(map(len, roles.values())))
    for role, same in sorted(roles.items()):
        seen = [path for path in same if path in looks]
        if seen:
            pattern = f"*{separator}{role}{files[0].suffix}" if first else f"{role}{separator}*{files[0].suffix}"
            draft.looks[pattern] = looks[seen[0]]
            draft.everywhere |= {pattern} if len(same) == draft.tries else set()
    draft.why.append(
        f"files share a part of their names and differ in {', '.join(sorted(roles))}: together they are a try"
    )
    return draft if draft.looks else None


def _grouped(files: Sequence[Path]) -> tuple[str, bool, dict[str, list[Path]]] | None:
    """Part names into try and role: (separator, try comes first, files by role); None where they do not part so."""
    if len({path.suffix for path in files}) != 1 or len(files) < 4:
        return None
    for separator in ("_", "-", "."):
        for first in (True, False):
            roles: dict[str, list[Path]] = {}
            tries: Counter[tuple[Path, str]] = Counter()
            for path in files:
                left, found, right = path.stem.rpartition(separator) if first else path.stem.partition(separator)
                name, role = (left, right) if first else (right, left)
                if not found or not name or not re.search("[A-Za-z]", role) or re.search(r"\d{2}", role):
                    break
                roles.setdefault(role, []).append(path)
                tries[path.parent, name] += 1
            whole = sum(tries.values()) == len(files) and 2 <= len(roles) <= MOST_ROLES
            if whole and len(tries) >= 2 and sum(n >= 2 for n in tries.values()) * 2 > len(tries):
                return separator, first, roles
    return None


def _singles(files: Sequence[Path], looks: dict[Path, Look]) -> _Draft:
    """Draft the layout "file" for the most common kind of table."""
    kinds = Counter(look.signature for look in looks.values())
    kind = kinds.most_common(1)[0][0]
    alike = [look for look in looks.values() if look.signature == kind]
    best = max(alike, key=lambda look: len(look.cells))
    suffix = best.path.suffix
    draft = _Draft("file", match=rf"{_escaped(suffix)}$", looks={"": best}, everywhere={""})
    draft.tries = sum(path.suffix == suffix for path in files)
    draft.labels = {label for look in alike for label in look.labels} - {""}
    if len(kinds) > 1:
        names = {path.name for path, look in looks.items() if look.signature == kind}
        draft.match = rf"/(?:{_alternatives({Path(name).stem for name in names})}){_escaped(suffix)}$"
        others = sorted(path.name for path, look in looks.items() if look.signature != kind)
        draft.why.append(f"other kinds of tables lie here and are not mapped: {', '.join(others[:8])}")
    holds = f"the arrays {', '.join(best.arrays)}" if best.arrays else f"{best.cells.width} columns"
    count = f"{draft.tries} files hold {holds} each" if draft.tries > 1 else f"{best.path.name} holds {holds}"
    draft.why.insert(0, f"{count}: a file is a try")
    return draft


def _written(folder: Path, draft: _Draft, files: Sequence[Path]) -> list[str]:
    judged = {pattern: judge(look, _fallback(pattern)) for pattern, look in draft.looks.items()}
    share_clock(draft.looks, judged)
    events = {p for p, look in draft.looks.items() if draft.layout != "file" and _is_events(look, draft)}
    lines = [
        f"# A mapping of the tables in {folder.name!r}, drafted from what the files look like.",
        "# Lines with TODO are what the files do not say: settle them, then delete the marks.",
        "",
        "[episode]",
        *(f"# {why}" for why in draft.why),
        f"layout = {_toml(draft.layout)}",
    ]
    lines += [f"match = {_toml(draft.match)}"] if draft.match else []
    lines += _parted(draft, judged)
    lines += ['task = ""  # TODO: what was to be done', 'embodiment = ""  # TODO: which robot']
    if not draft.labels and all(one.outcome is None for one in judged.values()):
        lines += _outcome_by_path(folder, files)
    events = events if len(events) < len(draft.looks) else set()
    draft.shared = _shared(draft, judged, events)
    lines += ["", "[defaults]", *draft.shared] if draft.shared else []
    names: set[str] = set()
    for pattern, look in draft.looks.items():
        if pattern in events:
            continue
        lines += _file_sections(draft, pattern, look, judged[pattern], names)
    if not names:
        raise UnreadableLog(
            "holds no numbers beside a clock", subject=str(folder), remedy="Name the folder with the tables."
        )
    lines += [line for pattern in sorted(events)[:1] for line in _events_section(pattern, draft.looks[pattern])]
    lines += [f"# Not mapped, as it looks like events too: {pattern}" for pattern in sorted(events)[1:]]
    lines += _labels_section(draft)
    for section, column in (("phases", "phase"), ("outcome", "outcome")):
        for pattern, one in judged.items():
            number = getattr(one, column)
            if number is not None and pattern not in events:
                lines += _column_section(draft, section, pattern, one, number)
                break
    return [*lines, ""]


def _shared(draft: _Draft, judged: dict[str, Judged], events: set[str]) -> list[str]:
    """Return how every file is read and stamped, where that is the same for all and there is more than one section."""
    kept = [pattern for pattern in draft.looks if pattern not in events]
    said = {(*_reading(draft.looks[p]), *_time_lines(draft.looks[p], judged[p], "")) for p in kept}
    sections = sum(len(judged[p].groups) + (judged[p].phase is not None) for p in kept)
    arrays = any(look.arrays for look in draft.looks.values())
    return list(next(iter(said))) if len(said) == 1 and sections > 1 and not events and not arrays else []


def _parted(draft: _Draft, judged: dict[str, Judged]) -> list[str]:
    look = next(iter(draft.looks.values()))
    if look.labels and draft.layout == "file":
        return [f"# blank lines part the text into blocks ({len(look.labels)} in {look.path.name})", "blocks = true"]
    found = {_column(draft.looks[p], one.split) for p, one in judged.items() if one.split is not None}
    if len(found) != 1 or any(one.split is None for one in judged.values()):
        return (
            [f"# TODO: {', '.join(sorted(found))} looks like a try's number, but not every file has it"]
            if found
            else []
        )
    column = found.pop()
    return [f"# {column} is named like a try's number, and its values come in runs", f"split = {column}"]


def _file_sections(draft: _Draft, pattern: str, look: Look, judged: Judged, names: set[str]) -> list[str]:
    lines: list[str] = []
    notes = [f"# {look.path.name}: {note}" for note in judged.notes]
    clock_array = next((one for one in look.arrays if _is_clock(look, one)), "")
    for array in look.arrays or ("",):
        if array and array == clock_array:
            continue
        inner = peek(look.path, array) if array else look
        stream, ask = role_of(array, f"observation/{slug(array)}") if array else ("", "")
        one = judge(inner, stream) if array else judged
        for group in one.groups:
            lines += ["", *notes, f"[streams.{_toml(_free(group.stream, names, pattern))}]"]
            notes = []
            lines += [f"file = {_toml(pattern)}"] if pattern else []
            lines += [f"array = {_toml(array)}"] if array else []
            if not draft.shared:
                lines += [*_reading(inner), *_time_lines(inner, one, clock_array)]
            lines += _columns_lines(inner, one, group.columns)
            lines += [f"# {note}" for note in group.notes]
            unit_asked = any("unit" in todo for todo in group.todo)
            lines.append(
                f"unit = {_toml(group.unit)}" + ("  # TODO: the files do not say the unit" if unit_asked else "")
            )
            lines += [f"# TODO: {todo}" for todo in (*group.todo, ask) if todo and "unit" not in todo]
            if pattern in draft.everywhere and len(draft.looks) > 1:
                lines.append("# required = true  # TODO: is a try without it of no use?")
    return lines


def _columns_lines(look: Look, judged: Judged, columns: tuple[int, ...]) -> list[str]:
    """Name a stream's columns, unless they are all that is left beside the clock."""
    clock = judged.clock.columns if judged.clock and not judged.clock_file else ()
    if len(columns) + len(clock) == look.cells.width and not look.from_comment:
        return []
    group = next((name for name, numbers in look.cells.groups.items() if len(numbers) > 1 and numbers == columns), None)
    if group is not None:
        return [f"columns = [{_toml(group)}]"]
    lines = [f"columns = [{', '.join(_column(look, number) for number in columns)}]"]
    if look.from_comment:
        lines.append(f"fields = {json.dumps([look.names[number] for number in columns], ensure_ascii=False)}")
    return lines


def _time_lines(look: Look, judged: Judged, clock_array: str) -> list[str]:
    clock = judged.clock
    if clock_array:
        inner = judge(peek(look.path, clock_array), "").clock
        ask = "" if inner and inner.sure else "  # TODO: is that so?"
        lines = [f"# the array {clock_array!r} is named like a time and rises", "time = 0"]
        return [*lines, f"time_array = {_toml(clock_array)}", f"time_unit = {_toml(inner.unit if inner else 's')}{ask}"]
    if clock is None:
        rate_hz = judged.rate_hint_hz or 1.0
        return [f"rate_hz = {rate_hz:g}  # TODO: no column is a clock: say how many rows a second has"]
    if judged.clock_file:
        said = [
            f"# {judged.clock_file} holds nothing but stamps",
            "time = 0",
            f"time_file = {_toml(judged.clock_file)}",
        ]
        return [*said, f"time_unit = {_toml(clock.unit)}" + ("" if clock.sure else "  # TODO: is that so?")]
    columns = [_column(look, number) for number in clock.columns]
    time = columns[0] if len(columns) == 1 else f"[{', '.join(columns)}]"
    ask = "" if clock.sure else "  # TODO: is that so?"
    return [f"# {clock.why}", f"time = {time}", f"time_unit = {_toml(clock.unit)}{ask}"]


def _column_section(draft: _Draft, section: str, pattern: str, judged: Judged, number: int) -> list[str]:
    look = draft.looks[pattern]
    why = "is named like what the robot is about" if section == "phases" else "is named like how a try ended"
    lines = ["", f"[{section}]", f"# {_shown(look, number)} {why}"]
    lines += [f"file = {_toml(pattern)}"] if pattern else []
    lines += [*([] if draft.shared else _reading(look)), f"column = {_column(look, number)}"]
    words = sorted(set(look.cells.words(number)) - {""})[:30]
    if section == "phases":
        lines += [] if draft.shared else _time_lines(look, judged, "")
        return [*lines, f"# TODO: it says {', '.join(map(repr, words))}: name them with words = {{ ... }}"]
    for pair in ({"0", "1"}, {"False", "True"}, {"false", "true"}):
        words = sorted(pair) if set(words) <= pair else words
    return [*lines, *_meanings(words, inverted="fail" in _name(look, number).lower())]


def _meanings(words: Sequence[str], *, inverted: bool = False) -> list[str]:
    turned = {"success": "failure", "failure": "success"} if inverted else {}
    meant = {word: turned.get(outcome_of(word), outcome_of(word)) for word in words}
    known = ", ".join(f"{_toml(word)} = {_toml(outcome)}" for word, outcome in meant.items() if outcome)
    lines = [f"words = {{ {known} }}  # TODO: is that so?"]
    unknown = [word for word, outcome in meant.items() if not outcome]
    return lines + ([f"# TODO: what do these mean: {', '.join(map(repr, unknown))}?"] if unknown else [])


def _labels_section(draft: _Draft) -> list[str]:
    if not draft.labels:
        return []
    return ["", "[outcome]", "# the words above the blocks", "label = true", *_meanings(sorted(draft.labels))]


def _events_section(pattern: str, look: Look) -> list[str]:
    rows = len(look.cells)
    names = ", ".join(_toml(f"phase/{number + 1}") for number in range(rows))
    return [
        "",
        "[events]",
        f"# {look.path.name} holds {rows} rising numbers and nothing else: times at which something begins?",
        f"file = {_toml(pattern)}",
        *_reading(look),
        "time = 0",
        'time_unit = "s"  # TODO: is that so?',
        f"names = [{names}]  # TODO: name them",
    ]


def _is_events(look: Look, draft: _Draft) -> bool:
    longest = max(len(one.cells) for one in draft.looks.values())
    if look.cells.width != 1 or not look.cells.numeric(0) or len(look.cells) > 40 or len(look.cells) * 5 > longest:
        return False
    values = look.cells.take([0])[:, 0]
    return bool((values[1:] >= values[:-1]).all())


def _outcome_by_path(folder: Path, files: Sequence[Path]) -> list[str]:
    """Draft outcomes from words in the paths, as they are spelled there; the folder's own name is only a hint."""
    found: dict[str, set[Path]] = {}
    for path in files:
        for word in _outcome_words(path.relative_to(folder).as_posix()):
            found.setdefault(word, set()).add(path)
    lines = []
    above = folder.absolute().as_posix()
    for word, paths in sorted(found.items(), key=lambda item: len(item[1])):
        pattern = f"*/{folder.name}/*{word}*" if word in above else f"*{word}*"
        lines.append(
            f"{_toml(pattern)} = {_toml(outcome_of(word))}  # in the paths of {len(paths)} of {len(files)} files"
        )
    if not found:
        lines += [
            f'# "*" = {_toml(outcome_of(word))}  # TODO: the folder is named {word!r}: are all tries so?'
            for word in sorted(_outcome_words(folder.name))
        ]
    return ["", "[episode.outcome]  # TODO: is this the outcome? The first that fits wins.", *lines] if lines else []


def _outcome_words(text: str) -> set[str]:
    common = {"true", "false", "done", "normal"}
    return {word for word in _WORDS.findall(text) if len(word) > 3 and outcome_of(word) and word.lower() not in common}


def _checked(text: str, folder: Path) -> str:
    """Read a few tries by the draft, and say in its head what came of it."""
    mapping = parse_mapping(text, folder / FILE_NAME)
    reader = TableFormat(mapping)
    read, why = 0, ""
    for number, item in enumerate(reader.read(folder)):
        if isinstance(item, EpisodeLog):
            read += 1
        else:
            why = why or f"{item.key}: {item.reason}"[:300].replace("\n", " ")
        if number == 4:
            break
    said = f"# Read as it stands: {read} of the first {number + 1} tries come in{f' ({why})' if why else ''}."
    head, _, rest = text.partition("\n")
    return f"{head}\n{said}\n{rest}"


def _fallback(pattern: str) -> str:
    name = Path(pattern.replace("*", "")).stem if pattern else ""
    asked, _ = role_of(name, "")  # actions.npy
    return asked if asked.startswith("action/") else f"observation/{slug(name)}" if name else "observation/state"


def _is_clock(look: Look, array: str) -> bool:
    try:
        inner = peek(look.path, array)
    except UnreadableLog:
        return False
    named = re.fullmatch(r"t|times?|(time)?_?stamps?|ts", array, re.IGNORECASE) is not None
    return named and inner.cells.width == 1 and judge(inner, "").clock is not None


def _reading(look: Look) -> list[str]:
    how, lines = look.how, []
    if look.path.suffix.lower() not in {".npy", ".npz", ".parquet"}:
        lines += [f"separator = {_toml(how.separator)}"] if how.separator != "whitespace" else []
        lines += ["header = true"] if how.header else []
        lines += [f"skip_rows = {how.skip_rows}"] if how.skip_rows else []
        lines += ['decimal = ","'] if how.decimal == "," else []
    return lines


def _name(look: Look, number: int) -> str:
    return look.names[number] if number < len(look.names) else ""


def _column(look: Look, number: int) -> str:
    by_name = look.cells.names and look.names.count(_name(look, number)) == 1 and _name(look, number)
    return _toml(_name(look, number)) if by_name else str(number)


def _shown(look: Look, number: int) -> str:
    return repr(_name(look, number)) if _name(look, number) else f"column {number}"


def _free(stream: str, names: set[str], pattern: str) -> str:
    name, count = stream, 1
    if stream in names:
        name = f"{stream}_{slug(Path(pattern.replace('*', '')).stem)}" if pattern else stream
    while name in names:
        count += 1
        name = f"{stream}_{count}"
    names.add(name)
    return name


def _shape(name: str) -> str:
    """Reduce a name to its make: digits do not count."""
    return re.sub(r"\d+", "0", name)


def _match(names: set[str]) -> str:
    shapes = {_shape(name) for name in names}
    return rf"/(?:{_alternatives(names)})$" if len(shapes) <= 6 else ""


def _alternatives(names: set[str]) -> str:
    parts = sorted({re.sub(r"\d+", lambda _: r"\d+", _escaped(name)) for name in names})
    return "|".join(parts[:40])


def _escaped(text: str) -> str:
    return re.escape(text).replace(r"\-", "-").replace(r"\_", "_").replace(r"\ ", " ")


def _toml(text: str) -> str:
    if "'" not in text and ("\\" in text or '"' in text) and text.isprintable():
        return f"'{text}'"
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
