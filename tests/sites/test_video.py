import numpy as np
import pytest

from saqiya.errors import UsageError
from saqiya.sites.video import write_mp4

av = pytest.importorskip("av")


def moving_square(frames_n, height=48, width=64):
    for i in range(frames_n):
        frame = np.full((height, width, 3), 30, np.uint8)
        frame[16:32, i % 48 : i % 48 + 16] = 200, 60, 40
        yield frame


def test_frames_come_back_in_order_size_and_colour(tmp_path):
    assert write_mp4(moving_square(40), tmp_path / "a.mp4", 80.0) == 40
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        back = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 80)
    assert len(back) == 40
    for frame, sent in zip(back, moving_square(40), strict=True):
        assert np.abs(frame.astype(int) - sent).mean() < 12


def test_a_key_frame_comes_every_fifteen_frames(tmp_path):
    write_mp4(moving_square(40), tmp_path / "a.mp4", 80.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        keys = [i for i, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keys[:3] == [0, 15, 30]


def test_the_index_comes_before_the_pictures(tmp_path):
    write_mp4(moving_square(20), tmp_path / "a.mp4", 80.0)
    raw = (tmp_path / "a.mp4").read_bytes()
    assert raw.index(b"moov") < raw.index(b"mdat")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [np.zeros((7, 8, 3), np.uint8)],
        [np.zeros((8, 8, 3))],
        [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 6, 3), np.uint8)],
    ],
)
def test_bad_frames_are_refused_and_leave_no_file(tmp_path, frames):
    with pytest.raises(UsageError):
        write_mp4(frames, tmp_path / "a.mp4", 80.0)
    assert list(tmp_path.iterdir()) == []
