"""The comparison of outputs sees what it should."""

import numpy as np
import pytest
from benchmarks._training import differences


def kept(path, **changes):
    here = {
        "0/camera/front": np.zeros((2, 1, 3, 4, 4), dtype=np.uint8),
        "0/action/executed": np.ones((2, 50, 3), dtype=np.float32),
        "0/action/executed/pad": np.zeros((2, 50), dtype=bool),
        "0/task": np.array(["a", "b"]),
    }
    there = {
        "0/observation.images.front": np.zeros((2, 3, 4, 4), dtype=np.uint8),
        "0/action": np.ones((2, 50, 3), dtype=np.float32),
        "0/action_is_pad": np.zeros((2, 50), dtype=bool),
        "0/task": np.array(["a", "b"]),
    }
    for side, columns in (("here", here), ("there", {**there, **changes})):
        np.savez(path / f"{side}.npz", **columns)
    return path / "here.npz", path / "there.npz"


def test_equal_outputs_differ_in_nothing(tmp_path):
    assert set(differences(*kept(tmp_path)).values()) == {(0.0, 0.0)}


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("0/observation.images.front", np.full((2, 3, 4, 4), 3, dtype=np.uint8), (3.0, 3.0)),
        ("0/action_is_pad", np.eye(2, 50, dtype=bool), (1.0, 0.02)),
        ("0/task", np.array(["a", "c"]), (1.0, 0.5)),
    ],
)
def test_a_difference_is_seen(tmp_path, column, value, expected):
    assert expected in differences(*kept(tmp_path, **{column: value})).values()


def test_outputs_of_another_shape_are_no_outputs(tmp_path):
    with pytest.raises(RuntimeError, match="action"):
        differences(*kept(tmp_path, **{"0/action": np.ones((2, 49, 3))}))
