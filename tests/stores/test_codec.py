from __future__ import annotations

import dataclasses
import enum
import math
import types
from dataclasses import replace
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from saqiya.domain.nouns import NOUNS, AuthorKind, Outcome, OutcomeClaim, Turn
from saqiya.domain.streams import Span
from saqiya.errors import Corrupt, UsageError, WorkspaceTooNew
from saqiya.stores.codec import SCHEME, canonical, decode, seal

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WHOLE = st.integers(-(2**63), 2**63 - 1)
JSON = st.recursive(
    st.none() | st.booleans() | WHOLE | NUMBERS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)
PLAIN = {str: st.text(max_size=8), int: WHOLE, float: NUMBERS, bool: st.booleans(), Any: JSON, type(None): st.none()}
CLAIM = OutcomeClaim(
    id="claim-lab-1",
    episode="episode-lab-1",
    value=Outcome.SUCCESS,
    author_kind=AuthorKind.PERSON,
    author="p1",
    version="1",
    time_ns=1,
)
TURN = Turn(id="turn-lab-1", scope="s", number=1, dataset=None, policy="p", decision="d", deployment=None, figures={})


def values_of(annotation):  # noqa: PLR0911 - one line a type
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in PLAIN:
        return PLAIN[annotation]
    if annotation is Span:
        return st.tuples(WHOLE, WHOLE).map(lambda ends: Span(*sorted(ends)))
    if isinstance(annotation, enum.EnumType):
        return st.sampled_from(annotation)
    if origin is Annotated:
        return values_of(arguments[0])
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(part) for part in arguments])
    if origin is tuple:
        return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(values_of(arguments[0]), values_of(arguments[1]), max_size=3)
    hints = get_type_hints(annotation, include_extras=True)
    return st.builds(annotation, **{f.name: values_of(hints[f.name]) for f in dataclasses.fields(annotation)})


@pytest.mark.parametrize("kind", sorted(NOUNS))
def test_every_kind_of_noun_comes_back_equal_with_equal_bytes(kind):
    @settings(max_examples=25, deadline=None, derandomize=True)
    @given(values_of(NOUNS[kind]))
    def check(noun):
        stored, payload = canonical(noun)
        assert stored == noun == decode(kind, SCHEME, payload)
        assert canonical(decode(kind, SCHEME, payload)) == (stored, payload)

    check()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_a_number_that_json_cannot_hold_is_refused_by_name(value):
    with pytest.raises(UsageError, match="claim-lab-1"):
        canonical(replace(CLAIM, confidence=value))
    with pytest.raises(UsageError, match="figures"):
        canonical(replace(TURN, figures={"bits": [1.0, value]}))


@pytest.mark.parametrize("figures", [{"a": (1, 2)}, {"a": np.zeros(2)}, {"a": "\ud800"}, {1: 2}, {"a": {1}}])
def test_a_value_that_would_come_back_changed_is_refused(figures):
    with pytest.raises(UsageError, match="turn-lab-1"):
        canonical(replace(TURN, figures=figures))


def test_a_numpy_number_and_a_whole_number_in_a_float_field_have_the_bytes_of_the_plain_float():
    expected = canonical(replace(CLAIM, confidence=1.0))
    assert canonical(replace(CLAIM, confidence=np.float64(1))) == expected
    assert canonical(replace(CLAIM, confidence=1)) == expected


def test_a_row_of_a_newer_scheme_or_kind_is_too_new_and_a_broken_one_corrupt():
    _, payload = canonical(CLAIM)
    with pytest.raises(WorkspaceTooNew, match="outcome_claim"):
        decode("outcome_claim", SCHEME + 1, payload)
    with pytest.raises(WorkspaceTooNew, match="dream"):
        decode("dream", SCHEME, payload)
    for broken in (payload[:-3], "[]", "{}", payload.replace("success", "sucess"), "[" * 5000):
        with pytest.raises(Corrupt):
            decode("outcome_claim", SCHEME, broken)


def test_the_seal_covers_every_part_of_a_row():
    facts = {"kind": "turn", "key": "t/1", "scheme": 1, "created_ns": 5, "payload": "{}"}
    changes = {"kind": "trial", "key": "t/2", "scheme": 2, "created_ns": 6, "payload": "[]"}
    seals = {seal(**facts), *(seal(**{**facts, name: value}) for name, value in changes.items())}
    assert len(seals) == 6


def test_the_canonical_form_stays_what_it_was_in_the_first_version():
    _, payload = canonical(CLAIM)
    assert payload == (
        '{"author":"p1","author_kind":"person","confidence":1.0,"episode":"episode-lab-1","id":"claim-lab-1",'
        '"time_ns":1,"value":"success","version":"1"}'
    )
    assert seal(kind="outcome_claim", key="k", scheme=1, created_ns=1, payload=payload).startswith("de6cd475a2f4d447")
