"""What `import saqiya` offers."""

import ast
import inspect
import subprocess
import sys

import pytest

import saqiya


def test_there_are_few_public_names_and_they_are_sorted():
    assert len(saqiya.__all__) <= 25
    assert list(saqiya.__all__) == sorted(set(saqiya.__all__))


@pytest.mark.parametrize("name", saqiya.__all__)
def test_each_public_name_is_there_and_says_what_it_is_for(name):
    assert inspect.getdoc(getattr(saqiya, name))


def test_type_checkers_see_the_same_names():
    tree = ast.parse(inspect.getsource(saqiya))
    seen = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("saqiya.")
        for alias in node.names
    }
    assert seen == set(saqiya.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'Wheel'"):
        _ = saqiya.Wheel


def test_the_wheel_is_one_attribute_away():
    code = "import saqiya; print(saqiya.Flywheel.turn.__name__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "turn\n"
