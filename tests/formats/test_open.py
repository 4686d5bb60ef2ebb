from collections.abc import Iterator
from pathlib import Path

import pytest

from saqiya.domain.contracts import Unread
from saqiya.domain.streams import EpisodeLog
from saqiya.errors import UnreadableLog
from saqiya.formats.lerobot.read import LeRobotFormat
from saqiya.formats.open import Ignored, read_logs


class Words:
    """A format of one-word files: "bad" ones cannot be read."""

    name = "words"

    def sniff(self, path: Path) -> bool:
        return path.suffix == ".word"

    def read(self, path: Path) -> Iterator[EpisodeLog | Unread]:
        if path.read_text() == "bad":
            raise UnreadableLog("is bad", subject=str(path), remedy="Say another word.")
        yield EpisodeLog(path.stem, {})


def found(*paths: Path, skip: tuple[Path, ...] = ()) -> dict[str, object]:
    return {path.name: item for path, _, item in read_logs(paths, [Words()], skip=skip)}


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_folders_are_walked_and_the_bad_does_not_stop_the_good(tmp_path: Path) -> None:
    write(tmp_path, a__word="bad")
    write(tmp_path / "deep" / "er", b__word="good")
    items = found(tmp_path)
    assert isinstance(items["a.word"], Unread)
    assert isinstance(items["b.word"], EpisodeLog)


def test_documents_and_hidden_files_are_ignored_not_rejected(tmp_path: Path) -> None:
    write(tmp_path, README__txt="x", LICENSE="x", model__xml="x", __git="x")
    assert all(isinstance(item, Ignored) for item in found(tmp_path).values())
    assert len(found(tmp_path)) == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"\x00\x01", "no known format"), (b"version https://git-lfs.github.com/spec/v1", "LFS pointer")],
)
def test_a_file_that_no_format_knows_is_rejected_with_a_reason(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "x.blob").write_bytes(data)
    item = found(tmp_path)["x.blob"]
    assert isinstance(item, Unread)
    assert reason in item.reason


def test_a_rerun_recording_says_what_to_take_in_instead(tmp_path: Path) -> None:
    (tmp_path / "x.rrd").write_bytes(b"RRF2")
    item = found(tmp_path)["x.rrd"]
    assert isinstance(item, Unread)
    assert "an export as mcap" in item.remedy


def test_the_list_beside_exported_files_is_no_log(tmp_path: Path) -> None:
    (tmp_path / "episodes.json").write_text('{"episodes": []}')
    assert isinstance(found(tmp_path)["episodes.json"], Ignored)


def test_a_path_that_is_not_there_is_rejected(tmp_path: Path) -> None:
    assert isinstance(found(tmp_path / "gone")["gone"], Unread)


def test_a_path_given_twice_is_read_once_and_skipped_files_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, a__word="good", trials__csv="x")
    items = list(read_logs([tmp_path, tmp_path / "a.word"], [Words()], skip=[tmp_path / "trials.csv"]))
    assert [path.name for path, _, _ in items] == ["a.word"]


def test_links_between_folders_do_not_go_round(tmp_path: Path) -> None:
    write(tmp_path / "in", a__word="good")
    (tmp_path / "in" / "loop").symlink_to(tmp_path)
    assert [path.name for path, _, _ in read_logs([tmp_path], [Words()])] == ["a.word", "loop"]


def test_a_link_to_nothing_says_what_to_fetch(tmp_path: Path) -> None:
    (tmp_path / "run.bin").symlink_to(tmp_path / "annex" / "object")
    ((_, _, item),) = read_logs([tmp_path], [])
    assert isinstance(item, Unread)
    assert (item.reason, "Fetch" in item.remedy) == ("is a link to nothing", True)


def test_a_small_json_object_is_notes_and_a_list_is_not(tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"uuid": "x", "success": true}')
    (tmp_path / "samples.json").write_text("[[0.0, 1.0], [0.1, 2.0]]")
    notes, samples = (item for _, _, item in read_logs([tmp_path], []))
    assert isinstance(notes, Ignored)
    assert isinstance(samples, Unread)


@pytest.mark.parametrize("content", ["", '{"fps": ', "[]"])
def test_a_damaged_data_set_is_told_once(tmp_path: Path, content: str) -> None:
    for name in ("meta/info.json", "data/chunk-000/file-000.parquet", "videos/front/file-000.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content if name.endswith("json") else "x")
    ((_, reader, item),) = read_logs([tmp_path], [LeRobotFormat()])
    assert isinstance(item, Unread)
    assert (reader, "info.json" in item.reason) == ("lerobot", True)
