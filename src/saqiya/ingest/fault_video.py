"""Hard faults of cameras: cut short, starting late, pictures that never change, cut packets, missing files."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from saqiya.domain.media import Video
from saqiya.domain.streams import EpisodeLog, JsonValue, Stream
from saqiya.ingest.findings import Finding, Severity, figures
from saqiya.models.roles import Role, numeric, roles_of

__all__ = ["check_cameras", "check_declared"]

SHORT_S = 1.0
STILL_S = 1.0


def check_cameras(log: EpisodeLog, *, moves: bool) -> list[Finding]:
    """Look at every camera, encoded or raw; `moves` says that the robot moved, so that pictures must change."""
    found = []
    span = _frame(log)
    for name, video in sorted(log.videos.items()):
        shown = video.track.shown_ns
        if not shown.size:
            found.append(Finding("video/empty", name, Severity.FAULT, "has no picture in this try", {}))
            continue
        found += _ends(name, int(shown[0]), int(shown[-1]), _period_s(shown), span)
        found += _packets(name, video)
        if moves and video.track.codec in ("jpeg", "png"):
            found += _still(name, _same_packets(video), video.track.t_ns[video.track.rank])
    for name, stream in sorted(log.streams.items()):
        if Role.CAMERA in roles_of(name, stream) and not numeric(stream) and stream.t_ns.size:
            found += _ends(name, int(stream.t_ns[0]), int(stream.t_ns[-1]), _period_s(stream.t_ns), span)
            if moves:
                found += _still(name, _same_pictures(stream), stream.t_ns)
    return found


def check_declared(metadata: Mapping[str, JsonValue]) -> list[Finding]:
    """Turn what a reader found missing or broken (`metadata["faults"]`) into findings.

    Readers name a thing and what is wrong with it, as a table or as a list of sentences.
    """
    said = metadata.get("faults")
    items: list[tuple[str, str]] = []
    if isinstance(said, dict):
        items = [(str(name), str(why)) for name, why in said.items()]
    elif isinstance(said, list):
        for one in said:
            if isinstance(one, dict):
                name = one.get("stream") or one.get("name") or one.get("camera") or ""
                items.append((str(name), str(one.get("what") or one.get("reason") or one)))
            else:
                items.append(("", str(one)))
    elif said:
        items = [("", str(said))]
    found = []
    for name, why in items:
        camera = name.startswith(("camera/", "depth/")) or any(
            w in f"{name} {why}".casefold() for w in ("camera", "video", "mp4")
        )
        found.append(Finding("video/missing" if camera else "reader/fault", name, Severity.FAULT, why, {}))
    return found


def _frame(log: EpisodeLog) -> tuple[int, int]:
    """Return when most streams begin and end: one stream with wrong stamps must not make every camera late."""
    stamps = [s.t_ns for n, s in log.streams.items() if s.t_ns.size > 1 and not n.startswith("clock/")]
    stamps += [video.track.shown_ns for video in log.videos.values() if len(video.track) > 1]
    if not stamps:
        return log.span.start_ns, log.span.end_ns
    return int(np.median([int(t[0]) for t in stamps])), int(np.median([int(t[-1]) for t in stamps])) + 1


def _period_s(t_ns: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    return float(np.median(np.diff(t_ns))) / 1e9 if t_ns.size > 1 else 0.0


def _ends(name: str, first_ns: int, last_ns: int, period_s: float, span: tuple[int, int]) -> list[Finding]:
    whole_s = (span[1] - span[0]) / 1e9
    found = []
    for check, missing_s, what in (
        ("video/starts-late", (first_ns - span[0]) / 1e9, "begins {:.2f} s after the try"),
        ("video/ends-early", (span[1] - last_ns) / 1e9, "ends {:.2f} s before the try"),
    ):
        if missing_s > max(SHORT_S, 5.0 * period_s):
            share = missing_s / whole_s
            found.append(Finding(
                check, name, Severity.FAULT if share > 0.1 else Severity.WARNING,
                what.format(missing_s) + f", {share:.0%} of it has no picture",
                figures(missing_s=missing_s, share=share),
            ))  # fmt: skip
    return found


def _packets(name: str, video: Video) -> list[Finding]:
    sizes = video.track.size
    empty = int((sizes == 0).sum())
    found = []
    if empty:
        found.append(Finding(
            "video/empty-packets", name, Severity.FAULT, f"{empty} of {sizes.size} packets hold no byte",
            figures(packets=empty, share=empty / sizes.size),
        ))  # fmt: skip
    cut = [
        number
        for number in _looked_at(sizes.size)
        if sizes[number] and _is_cut(video.packet(number), video.track.codec, video.track.form)
    ]
    if cut:
        found.append(Finding(
            "video/truncated", name, Severity.FAULT,
            f"{len(cut)} of the {len(_looked_at(sizes.size))} packets looked at are cut off, first packet {cut[0]}",
            figures(packets=len(cut), first=cut[0]),
        ))  # fmt: skip
    return found


def _looked_at(count: int) -> list[int]:
    """The last packet, where a truncation shows, and 32 spread over the rest."""
    return sorted({*np.linspace(0, count - 1, min(count, 32)).astype(np.int64).tolist(), count - 1})


def _is_cut(packet: bytes, codec: str, form: str) -> bool:
    if codec == "jpeg":
        return b"\xff\xd9" not in packet[-64:]
    if codec == "png":
        return b"IEND" not in packet[-64:]
    if form == "avcc":
        at = 0
        while at + 4 <= len(packet):
            at += 4 + int.from_bytes(packet[at : at + 4], "big")
        return at != len(packet)
    return False


def _same_packets(video: Video) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each packet after the first, whether it is the one before, byte for byte."""
    sizes = video.track.size
    same = np.zeros(max(0, sizes.size - 1), dtype=bool)
    for number in np.flatnonzero(sizes[1:] == sizes[:-1]):
        same[number] = video.packet(int(number)) == video.packet(int(number) + 1)
    return same


def _same_pictures(stream: Stream) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    values = stream.values.reshape(stream.t_ns.size, -1)
    thin = values[:, :: max(1, values.shape[1] // 4096)]
    same = np.zeros(max(0, stream.t_ns.size - 1), dtype=bool)
    for number in range(same.size):
        same[number] = np.array_equal(thin[number], thin[number + 1])
    return same


def _still(
    name: str, same: np.ndarray[tuple[int], np.dtype[np.bool_]], t_ns: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> list[Finding]:
    """Report the longest run of equal pictures; one that repeats most of them was sampled faster than it runs."""
    if same.size < 8 or (same.mean() > 0.5 and not same.all()):
        edges = np.empty(0, dtype=np.int64)
    else:
        edges = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)))
    if not edges.size:
        return []
    begins, ends = edges[::2], edges[1::2]
    best = int(np.argmax(t_ns[ends] - t_ns[begins]))
    length_s = float(t_ns[ends[best]] - t_ns[begins[best]]) / 1e9
    if length_s < STILL_S or ends[best] - begins[best] < 5:
        return []
    at_s = float(t_ns[begins[best]] - t_ns[0]) / 1e9
    return [Finding(
        "video/frozen", name, Severity.FAULT,
        f"shows one and the same picture for {length_s:.2f} s, {at_s:.2f} s after its first, while the robot moves",
        figures(length_s=length_s, at_s=at_s, pictures=int(ends[best] - begins[best]) + 1),
    )]  # fmt: skip
