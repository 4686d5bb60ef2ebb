"""Folders and zips from outside: what would leave its folder, lies of its sums, or is too much, does not come in."""

import stat
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.errors import InvalidMapping, UnreadableLog
from saqiya.formats import bounded
from saqiya.formats.parcel import SUMS, checked, inside, opened_parcel, sums_of


def zipped(path, files, **kinds):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = kinds.get("kind", stat.S_IFREG | 0o644) << 16
            archive.writestr(entry, data)
    return path


def everything(folder):
    return sorted(one.relative_to(folder).as_posix() for one in folder.rglob("*"))


def test_a_zip_of_a_folder_is_that_folder_for_as_long_as_it_is_open(tmp_path):
    with opened_parcel(zipped(tmp_path / "a.zip", [("x/b.txt", b"b"), ("x/c/d", b"d")]), tmp_path / "here") as root:
        assert everything(root) == ["b.txt", "c", "c/d"]
    assert everything(tmp_path) == ["a.zip", "here"]


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil", "a\x01b", "con:evil", "x" * 600, "a/../b"]
)
def test_a_path_that_leads_elsewhere_is_refused(tmp_path, name):
    (tmp_path / "in").mkdir()
    bad = zipped(tmp_path / "in" / "a.zip", [("good", b""), (name, b"evil")])
    with pytest.raises(UnreadableLog, match="leads elsewhere"), opened_parcel(bad, tmp_path / "in" / "here"):
        pass
    assert everything(tmp_path) == ["in", "in/a.zip", "in/here"]


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ([("zeros", b"\0" * (2 << 20))], "more bytes than any log"),
        ([("a", b""), ("A", b"")], "comes twice"),
        ([("a", b""), ("a/b", b"")], "a file and a folder"),
    ],
    ids=["bomb", "twice", "both"],
)
def test_a_zip_that_no_honest_tool_writes_is_refused(tmp_path, files, why, monkeypatch):
    monkeypatch.setattr(bounded, "FLOOR_BYTES", 1 << 20)
    bad = zipped(tmp_path / "a.zip", files)
    with pytest.raises(UnreadableLog, match=why), opened_parcel(bad, tmp_path / "here"):
        pass
    assert everything(tmp_path) == ["a.zip", "here"]


def test_links_are_refused_in_zips_and_in_folders(tmp_path):
    bad = zipped(tmp_path / "a.zip", [("link", b"/etc/passwd")], kind=stat.S_IFLNK | 0o777)
    with pytest.raises(UnreadableLog, match="link"), opened_parcel(bad, tmp_path / "here"):
        pass
    (tmp_path / "folder" / "in").mkdir(parents=True)
    (tmp_path / "folder" / "in" / "link").symlink_to(tmp_path / "a.zip")
    with pytest.raises(UnreadableLog, match="link"), opened_parcel(tmp_path / "folder", tmp_path):
        pass
    (tmp_path / "to").symlink_to(tmp_path / "folder")
    with pytest.raises(UnreadableLog), opened_parcel(tmp_path / "to", tmp_path):
        pass


def test_sums_that_lie_lack_or_are_missing_are_refused(tmp_path):
    (tmp_path / "a").write_text("a")
    (tmp_path / "note").write_text("n")
    with pytest.raises(UnreadableLog, match=SUMS):
        checked(tmp_path, beside=("note",))
    (tmp_path / SUMS).write_text(sums_of(tmp_path, beside=("note",)))
    assert checked(tmp_path, beside=("note",)) == {"a", "note"}
    (tmp_path / "b").write_text("b")
    with pytest.raises(InvalidMapping, match="b is there and not named"):
        checked(tmp_path, beside=("note",))
    (tmp_path / "b").unlink()
    (tmp_path / "a").write_text("A")
    with pytest.raises(InvalidMapping, match="a is not what its sum says"):
        checked(tmp_path, beside=("note",))
    (tmp_path / SUMS).write_text(f"{'0' * 64}  ../../etc/passwd\n")
    with pytest.raises(UnreadableLog, match="leads elsewhere"):
        checked(tmp_path, beside=("note",))


NAMES = st.lists(st.sampled_from(["..", ".", "a", "B", "é", "/", "\\", "c:", "a b", " ", "\0", "x" * 300]), max_size=5)


@settings(deadline=None)
@given(parts=NAMES)
def test_no_path_that_is_let_in_leaves_its_folder(tmp_path_factory, parts):
    root = tmp_path_factory.getbasetemp()
    try:
        path = inside("/".join(parts))
    except UnreadableLog:
        return
    assert (root / path).resolve().is_relative_to(root.resolve())
    assert (root / path).resolve() != root.resolve()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_damaged_zip_comes_in_as_it_was_or_not_at_all(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    whole = zipped(folder / "a.zip", [("x/a", b"abc" * 50), ("x/b", b"d"), (f"x/{SUMS}", b"")]).read_bytes()
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    (folder / "a.zip").write_bytes(bytes(raw[:cut] if data.draw(st.booleans()) else raw))
    try:
        with opened_parcel(folder / "a.zip", folder / "here") as root:
            assert root.resolve().is_relative_to((folder / "here").resolve())
    except UnreadableLog:
        pass
    assert everything(folder) in (["a.zip"], ["a.zip", "here"])
