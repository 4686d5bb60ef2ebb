"""Packet tables of MP4 files, held against the reference demuxer; packets put into an MP4, decoded by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from math import floor
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from saqiya.domain.media import Track, Video
from saqiya.domain.streams import Stamp
from saqiya.errors import InvalidEpisode, UnreadableLog
from saqiya.formats.pictures.mp4 import Mp4, open_mp4
from saqiya.formats.pictures.mp4_write import Mp4Writer, Shape
from saqiya.formats.pictures.nal import begins_anew, setup_of, to_lengths, to_starts

OPEN = {"g": "12", "x264-params": "open-gop=1:scenecut=0:keyint=12:bframes=2"}
PLAIN = {"g": "10", "bf": "0"}
KINDS: Mapping[str, Mapping[str, object]] = {
    "with B-frames": {"options": {"g": "15"}},
    "without B-frames": {"options": PLAIN},
    "open groups": {"options": OPEN},
    "fragments": {"options": {"g": "10"}, "container": {"movflags": "frag_keyframe+empty_moov"}},
    "fragments that say their place": {
        "options": {"g": "10"},
        "container": {"movflags": "frag_keyframe+empty_moov+default_base_moof"},
    },
    "fragments after pictures": {"options": {"g": "10"}, "container": {"movflags": "frag_keyframe"}},
    "tables first": {"container": {"movflags": "faststart"}},
    "negative shifts": {"options": {"g": "12"}, "container": {"movflags": "negative_cts_offsets"}},
    "late first picture": {"stamps_ms": [120 + 40 * number for number in range(40)]},
    "jitter": {"stamps_ms": [33 * number + number % 3 for number in range(40)], "fps": 1000},
    "hevc": {"codec": "libx265"},
    "av1": {"codec": "libsvtav1", "options": {"g": "4"}},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, movies: SimpleNamespace) -> Mapping[str, Path]:
    folder = tmp_path_factory.mktemp("movies")
    frames = movies.frames_of(40)
    return {
        name: movies.film(folder / f"{number}.mp4", frames, **kind)  # type: ignore[arg-type]
        for number, (name, kind) in enumerate(KINDS.items())
    }


def reference(path: Path) -> list[tuple[int, int, int, bool]]:
    """Stamp (ns), place, size and key of every packet, as the reference demuxer has them."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        base = stream.time_base
        assert base is not None
        found = [packet for packet in source.demux(stream) if packet.size]
        return [(floor(Fraction(p.pts * base) * 10**9 + Fraction(1, 2)), p.pos, p.size, p.is_keyframe) for p in found]


def packets(movie: Mp4, track: Track | None = None) -> list[bytes]:
    video = movie.video(movie.track if track is None else track)
    return [video.packet(number) for number in range(len(video.track.size))]


@pytest.mark.parametrize("kind", KINDS)
def test_stamps_places_sizes_and_keys_are_the_reference_demuxers(files: Mapping[str, Path], kind: str) -> None:
    track = open_mp4(files[kind]).track
    own = zip(
        track.t_ns[track.rank].tolist(), track.offset.tolist(), track.size.tolist(), track.key.tolist(), strict=True
    )
    assert list(own) == reference(files[kind])
    assert (track.width, track.height) == (64, 48)


@pytest.mark.parametrize("kind", KINDS)
def test_the_set_up_is_the_reference_demuxers(files: Mapping[str, Path], kind: str) -> None:
    with av.open(str(files[kind])) as source:
        context = source.streams.video[0].codec_context
        assert open_mp4(files[kind]).track.setup == bytes(context.extradata or b"")


def test_stamps_at_one_rate_are_assumed_and_others_are_not(files: Mapping[str, Path]) -> None:
    assert open_mp4(files["with B-frames"]).track.stamp is Stamp.ASSUMED
    assert open_mp4(files["jitter"]).track.stamp is Stamp.RECEIVE


@pytest.mark.parametrize("kind", ["with B-frames", "without B-frames", "open groups", "av1"])
@pytest.mark.parametrize(("low", "high"), [(0, 40), (0, 1), (13, 20), (39, 40), (10, 10)])
def test_a_part_shows_the_pictures_that_were_asked_for(
    files: Mapping[str, Path], kind: str, low: int, high: int
) -> None:
    movie = open_mp4(files[kind])
    part = movie.pictures(low, high)
    assert part.shown_ns.tolist() == movie.track.t_ns[low:high].tolist()
    whole = movie.track.between(int(movie.track.t_ns[low]), int(movie.track.t_ns[high - 1]) + 1 if high > low else 0)
    assert part.offset.tolist() == whole.offset.tolist()
    assert part.rank.tolist() == whole.rank.tolist()


@pytest.mark.parametrize("kind", ["with B-frames", "without B-frames", "open groups", "hevc", "av1"])
def test_packets_put_into_a_file_are_the_same_packets_and_the_same_pictures(
    files: Mapping[str, Path], kind: str, tmp_path: Path, movies: SimpleNamespace
) -> None:
    movie = open_mp4(files[kind])
    track = movie.track
    with Mp4Writer(tmp_path / "out.mp4", shape(track), Fraction(30)) as target:
        firsts = [target.append(packets(movie), track.size, track.key, track.rank) for _ in range(2)]
    back = open_mp4(tmp_path / "out.mp4")
    assert firsts == [0, 40]
    assert packets(back) == packets(movie) * 2
    assert back.track.setup == track.setup
    was, now = movies.shown(files[kind]), movies.shown(tmp_path / "out.mp4")
    assert [seconds for seconds, _ in now] == pytest.approx([number / 30 for number in range(80)])
    assert all(np.array_equal(pixels, was[number % 40][1]) for number, (_, pixels) in enumerate(now))


def shape(track: Track) -> Shape:
    return Shape(track.codec, track.width, track.height, track.setup)


def test_only_keys_of_closed_groups_are_marked(files: Mapping[str, Path], tmp_path: Path) -> None:
    movie = open_mp4(files["open groups"])
    track = movie.track
    assert track.key.sum() > 1
    with Mp4Writer(tmp_path / "out.mp4", shape(track), Fraction(30)) as target:
        target.append(packets(movie), track.size, track.key, track.rank)
    assert open_mp4(tmp_path / "out.mp4").track.key.sum() == 1


def test_a_rate_that_is_no_whole_number_is_exact(files: Mapping[str, Path], tmp_path: Path) -> None:
    movie = open_mp4(files["without B-frames"])
    with Mp4Writer(tmp_path / "out.mp4", shape(movie.track), Fraction(30000, 1001)) as target:
        target.append(packets(movie), movie.track.size, movie.track.key, movie.track.rank)
    assert open_mp4(tmp_path / "out.mp4").track.t_ns[30] == 1001 * 10**6


def test_a_file_without_pictures_says_so(files: Mapping[str, Path], tmp_path: Path) -> None:
    with Mp4Writer(tmp_path / "out.mp4", shape(open_mp4(files["av1"]).track), Fraction(30)):
        pass
    with pytest.raises(UnreadableLog, match="no pictures"):
        open_mp4(tmp_path / "out.mp4")


def test_bytes_that_are_not_the_packets_are_refused(files: Mapping[str, Path], tmp_path: Path) -> None:
    track = open_mp4(files["without B-frames"]).track
    with (
        pytest.raises(InvalidEpisode, match="3 bytes came"),
        Mp4Writer(tmp_path / "out.mp4", shape(track), Fraction(30)) as target,
    ):
        target.append([b"abc"], track.size, track.key, track.rank)


def test_a_git_lfs_pointer_is_told_apart(tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.mp4"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 134213\n")
    with pytest.raises(UnreadableLog, match="git lfs pull"):
        open_mp4(pointer)


@pytest.mark.parametrize(("content", "why"), [(b"", "empty"), (b"<html>not here</html>", "no usable MP4")])
def test_what_is_no_mp4_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    (tmp_path / "x.mp4").write_bytes(content)
    with pytest.raises(UnreadableLog, match=why):
        open_mp4(tmp_path / "x.mp4")


def test_a_file_cut_before_its_tables_says_so(files: Mapping[str, Path], tmp_path: Path) -> None:
    whole = files["with B-frames"].read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: whole.index(b"moov") - 10])
    with pytest.raises(UnreadableLog, match="cut off, or never closed"):
        open_mp4(tmp_path / "cut.mp4")


def test_of_a_file_cut_after_its_tables_the_first_pictures_are_left(files: Mapping[str, Path], tmp_path: Path) -> None:
    movie = open_mp4(films := files["tables first"])
    end = int(movie.track.offset[30])
    (tmp_path / "cut.mp4").write_bytes(films.read_bytes()[:end])
    cut = open_mp4(tmp_path / "cut.mp4")
    assert packets(cut, cut.pictures(0, 10)) == packets(movie, movie.pictures(0, 10))
    with pytest.raises(UnreadableLog, match="cut off"):
        cut.pictures(0, 40)


def test_packets_that_are_zeros_are_refused(files: Mapping[str, Path], tmp_path: Path) -> None:
    content = bytearray(files["without B-frames"].read_bytes())
    track = open_mp4(files["without B-frames"]).track
    at, size = int(track.offset[20]), int(track.size[20])
    content[at : at + size] = bytes(size)
    (tmp_path / "zeros.mp4").write_bytes(content)
    with pytest.raises(UnreadableLog, match="1 of 40 packets are none"):
        open_mp4(tmp_path / "zeros.mp4").pictures(0, 40)


@pytest.mark.parametrize("kind", ["with B-frames", "fragments", "av1"])
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data())
def test_damage_gives_an_error_of_ours_or_packets_inside_the_file(
    files: Mapping[str, Path], tmp_path: Path, kind: str, data: st.DataObject
) -> None:
    content = bytearray(files[kind].read_bytes())
    tables = content.index(b"moov") if kind != "fragments" else 0
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(tables, len(content) - 5))
        content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4) | st.just(b"\xff\xff\xff\xff"))
    path = tmp_path / "damaged.mp4"
    path.write_bytes(content[: data.draw(st.integers(8, len(content)) | st.just(len(content)))])
    try:
        movie = open_mp4(path)
        part = movie.pictures(0, len(movie.track.t_ns))
    except UnreadableLog:
        return
    assert len(packets(movie, part)) == len(part.size)


def annexb(packet: bytes, wide: int) -> bytes:
    out, at = b"", 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + 4], "big")
        out += b"\0" * (wide - 3) + b"\0\0\1" + packet[at + 4 : at + 4 + size]
        at += 4 + size
    return out


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(3, 4)), min_size=1, max_size=5))
@example([(b"\0\0", 4), (b"\0", 3), (b"\x65\0", 4)])
def test_start_codes_become_lengths_and_come_back(units: list[tuple[bytes, int]]) -> None:
    packet = b"".join(b"\0" * (width - 3) + b"\0\0\1" + unit for unit, width in units)
    lengths, widths = to_lengths(packet)
    assert to_starts(lengths, widths) == packet


def test_a_packet_without_start_codes_is_refused() -> None:
    with pytest.raises(ValueError, match="begin with a start code"):
        to_lengths(b"\0\0\0\0\1\x65")


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libsvtav1"])
def test_a_set_up_made_from_the_first_packet_plays_the_same(
    tmp_path: Path, codec: str, movies: SimpleNamespace
) -> None:
    source = movies.film(tmp_path / "in.mp4", movies.frames_of(12), codec=codec)
    movie = open_mp4(source)
    own = packets(movie)
    first = own[0]
    if codec != "libsvtav1":
        sets = parameter_sets(movie.track)
        first = b"".join(b"\0\0\0\1" + one for one in sets) + annexb(own[0], 3)
    setup = setup_of(movie.track.codec, first)
    assert setup
    if codec != "libx265":  # x265 writes a fuller box
        assert setup[:4] == movie.track.setup[:4]
    track = replace(movie.track, setup=setup)
    with Mp4Writer(tmp_path / "out.mp4", shape(track), Fraction(30)) as target:
        target.append(own, track.size, track.key, track.rank)
    assert all(
        np.array_equal(a[1], b[1])
        for a, b in zip(movies.shown(source), movies.shown(tmp_path / "out.mp4"), strict=True)
    )


def parameter_sets(track: Track) -> list[bytes]:
    """The parameter sets in a set-up box, found by the reference library's own bitstream filter."""
    from saqiya.formats.pictures.annexb import wrap_of

    wrap = wrap_of(Video(replace(track, offset=track.offset * 0, size=track.size * 0), b""))
    assert wrap is not None
    return wrap.prefix.split(b"\0\0\0\1")[1:]


def test_only_a_picture_that_forgets_all_others_begins_anew(files: Mapping[str, Path]) -> None:
    for kind, codec in (("open groups", "h264"), ("hevc", "hevc")):
        movie = open_mp4(files[kind])
        own = packets(movie)
        assert begins_anew(codec, own[0], "avcc")
        assert not any(begins_anew(codec, packet, "avcc") for packet in own[1:])
