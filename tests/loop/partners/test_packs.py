"""Request packs: what a partner is told and shown, whose names it does not hold, and what of an answer is let in."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.loop.foreign import lerobot

from saqiya.domain.nouns import Episode, Failure, OutcomeClaim, Recording, Submission
from saqiya.domain.streams import Start, Stream
from saqiya.errors import AlreadyThere, GuardRefusal, InvalidMapping, UnknownId, UnreadableLog, UsageError
from saqiya.formats.parcel import SUMS, sums_of
from saqiya.loop.partners.packs_in import Result, import_pack, read_result
from saqiya.loop.partners.packs_media import media_of
from saqiya.loop.partners.packs_out import Terms, export_pack

BY = Terms("CC-BY-4.0", due="2026-12-24")


def shown(crowd, **how):
    """A request about a failed try with a small camera, whose facts name people."""
    t_ns = np.arange(20, dtype=np.int64) * 100_000_000
    moved = np.roll(np.kron(np.eye(8, dtype=np.uint8) * 200, np.ones((6, 8), np.uint8)), 3, axis=1)
    pictures = np.repeat(np.stack([np.roll(moved, n, axis=1) for n in range(20)])[..., None], 3, axis=3)
    held = {
        "action/executed": Stream(t_ns, np.cumsum(np.ones((20, 2)), axis=0), fields=("x", "y")),
        "camera/top": Stream(t_ns, pictures),
    }
    start = Start(7, {"x": 0.25, "object": "cup", "operator": "Ann"})
    failure = crowd.failure(held=held, operator="Grace Hopper", start=start, extra={"host": "ann-laptop"})
    crowd.desk.advise(failure.id, "Ada", "Ada says: grip it lower, write to ada@lab.example")
    return crowd.request(failures=(failure,), **how)


def sent(crowd, fresh, **how):
    request = shown(crowd, **how)
    return export_pack(crowd.wheel, request.id, fresh / "pack", BY, by="rex"), request


def answered(fresh, pack_name, *, recordings=None, result=True, sums=True, **changes):
    """Write what a partner sends back: one LeRobot data set, or what is given."""
    folder = fresh / "answer"
    shutil.rmtree(folder, ignore_errors=True)
    lerobot(folder / "one", ["peg"], [None])
    said = {
        "saqiya_result": 1,
        "pack": pack_name,
        "who": {"organisation": "ACME", "operator": "p3"},
        "licence": "cc-by-4.0",
        "consent": {"given": True, "statement": "All who are seen agreed."},
        "recordings": recordings or [{"path": "one", "slot": 0, "outcome": "success"}],
    }
    if result:
        (folder / "result.json").write_text(json.dumps(said | changes))
    if sums:
        (folder / SUMS).write_text(sums_of(folder, beside=("result.json",)))
    return folder


def test_pictures_of_a_log_that_counts_from_1970_are_those_about_the_moment(crowd, fresh):
    from PIL import Image

    began = 1_790_000_000_000_000_000
    t_ns = began + np.arange(300, dtype=np.int64) * 100_000_000
    greys = np.broadcast_to(np.arange(300).astype(np.uint8)[:, None, None, None], (300, 48, 64, 3))
    episode = crowd.episode(
        held={"camera/top": Stream(t_ns, greys.copy())}, steps=300, start_ns=began, end_ns=int(t_ns[-1]) + 1
    )
    kept = crowd.catalog.get(episode.id, Episode)
    failure = Failure(id=crowd.id("failure"), episode=episode.id, alarms=(), moment_ns=began + 15_000_000_000, phase="")
    pieces, notes = media_of(crowd.wheel, kept, crowd.put("failure/late", failure), fresh / "media", str)
    moment = next(one.file for one in pieces if one.says == "the moment, camera/top")
    assert np.asarray(Image.open(fresh / "media" / moment)).mean() == pytest.approx(150, abs=1)
    assert {one.kind for one in pieces} >= {"still", "film"}
    assert notes == []


def nothing_came_in(crowd):
    return not crowd.catalog.all(Submission) and not [r for r in crowd.catalog.all(Recording) if r.format == "lerobot"]


def test_a_pack_says_what_is_asked_for_and_shows_the_failure(crowd, fresh):
    made, request = sent(crowd, fresh)
    told = json.loads((fresh / "pack" / "pack.json").read_text())
    assert (told["saqiya_request_pack"], told["count"], told["target"]) == (1, 1, "slip")
    assert told["terms"] == {"licence": "CC-BY-4.0", "consent": made.settings["consent"], "due": "2026-12-24"}
    (slot,) = told["slots"]
    assert (slot["start"], slot["properties"]) == ({"x": 0.25, "object": "cup"}, {})
    assert slot["wrong_after_s"] == 1.0
    assert {one["kind"] for one in slot["media"]} == {"still", "film", "card", "table"}
    assert all((fresh / "pack" / one["file"]).stat().st_size for one in slot["media"])
    page = (fresh / "pack" / "index.html").read_text()
    assert "<script" not in page
    assert all(one["file"] in page for one in slot["media"])
    assert made.episodes == (crowd.catalog.get(request.failures[0]).episode,)
    assert crowd.desk.trail.read(who="rex")[0].what == "export"


def test_no_byte_of_a_pack_names_a_person(crowd, fresh):
    sent(crowd, fresh)
    names = (b"ann", b"bob", b"cid", b"rex", b"ada", b"grace", b"hopper", b"laptop", b"@lab")
    texts = [
        one for one in (fresh / "pack").rglob("*") if one.suffix in {".json", ".html", ".csv", ""} and one.is_file()
    ]
    assert len(texts) > 5
    for file in texts:
        words = set(file.read_bytes().lower().replace(b"_", b" ").replace(b"-", b" ").split())
        assert [name for name in names if any(name == word.strip(b'".,:;<>()') for word in words)] == [], file
    assert "grip it lower" in (fresh / "pack" / "pack.json").read_text()


def test_two_packs_of_one_request_have_names_of_their_own_and_none_is_written_over(crowd, fresh):
    made, request = sent(crowd, fresh)
    with pytest.raises(AlreadyThere):
        export_pack(crowd.wheel, request.id, fresh / "pack", BY, by="rex")
    again = export_pack(crowd.wheel, request.id, fresh / "other", BY, by="rex")
    assert made.settings["pack"].rpartition("-")[0] == again.settings["pack"].rpartition("-")[0]
    assert made.settings["pack"] != again.settings["pack"]


@pytest.mark.parametrize("terms", [Terms(""), Terms("MIT", consent=" "), Terms("MIT", due="soon")])
def test_a_pack_without_terms_is_not_written(crowd, fresh, terms):
    with pytest.raises(UsageError):
        export_pack(crowd.wheel, crowd.request().id, fresh / "pack", terms, by="rex")
    assert not (fresh / "pack").exists()


def test_a_request_that_is_served_is_not_sent_out(crowd, fresh):
    request = crowd.request()
    crowd.handed_in("ann", request)
    with pytest.raises(GuardRefusal, match="nothing of it is open"):
        export_pack(crowd.wheel, request.id, fresh / "pack", BY, by="rex")


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_waits_for_a_reviewer_and_says_who_gave_it_on_which_terms(crowd, fresh, packed):
    made, request = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"])
    if packed:
        answer = shutil.make_archive(str(fresh / "answer"), "zip", fresh, "answer")
    (one,) = import_pack(crowd.wheel, fresh / "answer.zip" if packed else answer, by="ann")
    assert (one.slot, one.why) == (0, "")
    handed = crowd.catalog.get(one.submission, Submission)
    episode = crowd.catalog.get(handed.episode, Episode)
    assert (handed.operator, episode.operator, handed.human_steps) == ("ann", "p3", 20)
    given = episode.extra["given"]
    assert (given["organisation"], given["licence"], given["request"]) == ("ACME", "cc-by-4.0", request.id)
    assert given["consent"] == "All who are seen agreed."
    (claim,) = crowd.catalog.referring(episode.id, OutcomeClaim)
    assert claim.value == "success"
    assert not list(crowd.wheel.store.derived.glob("parcel-*"))
    (again,) = import_pack(crowd.wheel, fresh / "answer.zip" if packed else answer, by="ann")
    assert (again.submission, again.why) == (one.submission, "was handed in before")


LACKING = [
    ({"licence": ""}, GuardRefusal, "no licence"),
    ({"consent": {}}, GuardRefusal, "no consent"),
    ({"consent": {"given": "yes", "statement": "all agreed"}}, GuardRefusal, "no consent"),
    ({"consent": {"given": True, "statement": " "}}, GuardRefusal, "no consent"),
    ({"licence": "All rights reserved"}, GuardRefusal, "was asked for"),
    ({"who": {"operator": "p3"}}, GuardRefusal, "who made it"),
    ({"pack": "0123456789-0"}, GuardRefusal, "no pack of this name"),
    ({"saqiya_result": 2}, UnreadableLog, "no version"),
    ({"who": "ACME"}, UnreadableLog, "no table"),
    ({"licence": ["CC-BY-4.0"]}, UnreadableLog, "no text"),
    ({"recordings": [{"path": "../pack"}]}, UnreadableLog, "leads elsewhere"),
    ({"recordings": [{"path": "one"}, {"path": "one/data"}]}, UnreadableLog, "twice"),
    ({"recordings": [{"path": "one", "slot": -1}]}, UnreadableLog, "slot"),
    ({"recordings": [{"path": "one", "slot": 9}]}, InvalidMapping, "slot 9 of 1"),
    ({"recordings": [{"path": "two"}]}, InvalidMapping, "not there"),
    ({"result": False}, UnreadableLog, "holds no result.json"),
    ({"sums": False}, UnreadableLog, "has no SHA256SUMS"),
]


def test_an_answer_that_says_less_or_other_than_it_must_is_refused_whole(crowd, fresh):
    made, _ = sent(crowd, fresh)
    for changes, error, why in LACKING:
        with pytest.raises(error, match=why):
            import_pack(crowd.wheel, answered(fresh, made.settings["pack"], **changes), by="ann")
    assert nothing_came_in(crowd)


def test_another_licence_comes_in_when_a_person_accepts_it(crowd, fresh):
    made, _ = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"], licence="CC0-1.0")
    assert import_pack(crowd.wheel, answer, by="ann", licence="CC0-1.0")[0].good


def test_bytes_that_are_not_what_their_sum_says_do_not_come_in(crowd, fresh):
    made, _ = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"])
    with (answer / "one/meta/info.json").open("a") as file:
        file.write(" ")
    with pytest.raises(InvalidMapping, match="not what its sum says"):
        import_pack(crowd.wheel, answer, by="ann")
    assert nothing_came_in(crowd)


def test_what_an_answer_says_of_itself_gives_nobody_rights(crowd, fresh):
    made, _ = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"], who={"organisation": "ACME", "operator": "sue"})
    with pytest.raises(UnknownId):
        import_pack(crowd.wheel, answer, by="p3")
    (one,) = import_pack(crowd.wheel, answer, by="bob")
    assert crowd.catalog.get(one.submission, Submission).operator == "bob"


def test_bytes_that_came_in_before_on_no_terms_are_not_handed_in_on_some(crowd, fresh):
    made, _ = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"])
    crowd.wheel.data.ingest([answer / "one"])
    (one,) = import_pack(crowd.wheel, answer, by="ann")
    assert (one.good, one.why) == (False, "its bytes came in before, and not on these terms")


def test_a_file_that_is_no_recording_is_told_of(crowd, fresh):
    made, _ = sent(crowd, fresh)
    answer = answered(fresh, made.settings["pack"], sums=False, recordings=[{"path": "a.bin"}, {"path": "notes.md"}])
    (answer / "a.bin").write_bytes(b"\x00\x01 no log")
    (answer / "notes.md").write_text("hello")
    (answer / SUMS).write_text(sums_of(answer, beside=("result.json",)))
    told = import_pack(crowd.wheel, answer, by="ann")
    assert [one.good for one in told] == [False, False]
    assert "no known format" in told[0].why
    assert "no recording" in told[1].why


WORDS = st.sampled_from(["one", "../x", "/x", "", "\0", "x" * 3000, "success", "CC0-1.0"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SAID = st.fixed_dictionaries(
    {"saqiya_result": st.just(1) | JSON},
    optional={
        "who": JSON | st.fixed_dictionaries({"organisation": WORDS}),
        "licence": JSON | WORDS,
        "consent": JSON | st.fixed_dictionaries({"given": JSON, "statement": WORDS}),
        "recordings": JSON | st.lists(st.fixed_dictionaries({"path": WORDS}, optional={"slot": JSON}), max_size=3),
    },
)


@settings(deadline=None)
@given(said=SAID | JSON)
def test_whatever_an_answer_says_it_is_read_or_refused_by_name(tmp_path_factory, said):
    folder = tmp_path_factory.getbasetemp() / "said"
    folder.mkdir(exist_ok=True)
    (folder / "result.json").write_text(json.dumps(said))
    try:
        read = read_result(folder)
    except (UnreadableLog, GuardRefusal):
        return
    assert isinstance(read, Result)
    assert read.licence
    assert read.consent
    assert said["consent"]["given"] is True
    assert all(not one.path.is_absolute() and ".." not in one.path.parts for one in read.recordings)
