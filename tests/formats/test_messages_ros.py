"""Cutting many messages at once gives what the reference library reads from each."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from saqiya.formats.messages.ros import RosDecoder
from saqiya.formats.messages.types import Undecodable, from_msg

NUMBERS = {
    "bool": "?", "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8",
}  # fmt: skip
MANY = ["", "[3]", "[]"]
kinds = st.tuples(st.sampled_from([*NUMBERS, "string", "Inner", "Flat", "time"]), st.sampled_from(MANY))
inner_kinds = st.tuples(st.sampled_from([*NUMBERS, "string"]), st.sampled_from(MANY))


def text_of(fields):
    return "".join(f"{kind}{many} f{i}\n" for i, (kind, many) in enumerate(fields))


def drawn(draw, store, kind, many):
    """Draw a value of one field."""
    if many:
        count = 3 if many == "[3]" else draw(st.integers(0, 4))
        if kind in NUMBERS:
            bits = draw(st.binary(min_size=8 * count, max_size=8 * count))
            dtype = np.dtype(NUMBERS[kind])
            values = np.frombuffer(bits[: count * dtype.itemsize], "u1" if kind == "bool" else dtype)
            return values % 2 == 1 if kind == "bool" else values.copy()
        return [drawn(draw, store, kind, "") for _ in range(count)]
    if kind in NUMBERS:
        bits = draw(st.binary(min_size=8, max_size=8))
        dtype = np.dtype(NUMBERS[kind])
        return bits[0] % 2 == 1 if kind == "bool" else np.frombuffer(bits[: dtype.itemsize], dtype)[0].item()
    if kind == "string":
        return draw(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4))
    if kind == "time":
        made = store.types["builtin_interfaces/msg/Time"]
        return made(sec=draw(st.integers(0, 2**31 - 1)), nanosec=draw(st.integers(0, 999_999_999)))
    return message(draw, store, f"a/msg/{kind}")


def message(draw, store, name):
    fields = store.fielddefs[name][1]
    return store.types[name](**{field: drawn(draw, store, *PLAN[name][field]) for field, _ in fields})


PLAN = {}


def leaves(path, value, out):
    """Flatten a message of the reference library as the decoder names things."""
    if hasattr(value, "nanosec"):
        out[path] = value.sec * 10**9 + value.nanosec
    elif hasattr(value, "__msgtype__"):
        for name in value.__dataclass_fields__:
            if name not in {"__msgtype__", "structure_needs_at_least_one_member"}:
                leaves(f"{path}/{name}" if path else name, getattr(value, name), out)
    elif isinstance(value, list) and value and hasattr(value[0], "fx"):
        out[path] = np.array([[one.fx, one.fy] for one in value])
    elif isinstance(value, list) and value and hasattr(value[0], "nanosec"):
        out[path] = np.array([one.sec * 10**9 + one.nanosec for one in value])
    elif isinstance(value, list) and value:
        for number, one in enumerate(value):
            leaves(f"{path}/{number}", one, out)
    elif not isinstance(value, list):
        out[path] = value


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_definition_and_any_values_agree_with_the_reference_library(data):
    fields, inner = (
        data.draw(st.lists(kinds, min_size=1, max_size=5)),
        [("string", ""), *data.draw(st.lists(inner_kinds, max_size=3))],  # a text, so that lists of it are taken apart
    )
    ros1 = data.draw(st.booleans())
    texts = {"Outer": text_of(fields), "Inner": text_of(inner), "Flat": "float64 fx\nfloat64 fy\n"}
    store = get_typestore(Stores.ROS1_NOETIC if ros1 else Stores.ROS2_HUMBLE)
    for name, text in texts.items():
        store.register(get_types_from_msg(text, f"a/msg/{name}"))
    PLAN.update(
        {f"a/msg/{n}": {f"f{i}": one for i, one in enumerate(p)} for n, p in (("Outer", fields), ("Inner", inner))}
    )
    PLAN["a/msg/Flat"] = {"fx": ("float64", ""), "fy": ("float64", "")}
    sent = [message(data.draw, store, "a/msg/Outer") for _ in range(data.draw(st.integers(1, 5)))]
    sent += sent[: data.draw(st.integers(0, 2))]
    write = store.serialize_ros1 if ros1 else store.serialize_cdr
    payloads = [bytes(write(one, "a/msg/Outer")) for one in sent]
    more = "".join(f"{'=' * 80}\nMSG: a/{name}\n{texts[name]}" for name in ("Inner", "Flat"))
    stamp = f"{'=' * 80}\nMSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"
    text = texts["Outer"].replace("time", "time" if ros1 else "builtin_interfaces/Time") + more + stamp
    decoded = RosDecoder(from_msg("a/msg/Outer", text, ros1=ros1), ros1=ros1).batches(payloads, 0)
    assert decoded.lost == 0
    assert sorted(row for batch in decoded.batches for row in batch.rows.tolist()) == list(range(len(sent)))
    for batch in decoded.batches:
        for at, row in enumerate(batch.rows.tolist()):
            expected = {}
            leaves("", sent[row], expected)
            found = {path: values[at] for path, values in batch.numbers.items()}
            found |= {path: words.each()[at] for path, words in batch.texts.items()}
            for path, value in expected.items():
                if isinstance(value, str):
                    assert found[path] == value
                else:
                    np.testing.assert_array_equal(found[path], value)


@settings(max_examples=150, deadline=None)
@given(
    text=st.text(alphabet='abAB/[]0123456789=#<> \n_-"uint8stringMSG:', max_size=200), payload=st.binary(max_size=64)
)
def test_no_definition_and_no_bytes_do_harm(text, payload):
    for ros1 in (True, False):
        try:
            RosDecoder(from_msg("a/msg/X", text, ros1=ros1), ros1=ros1).batches([payload, payload], 0)
        except Undecodable as why:
            assert str(why)  # noqa: PT017 - either outcome is right


def test_a_list_that_claims_to_be_endless_is_given_up():
    nothing = f"a/Nothing[] all\n{'=' * 80}\nMSG: a/Nothing\n"
    decoder = RosDecoder(from_msg("a/msg/X", nothing, ros1=True), ros1=True)
    decoded = decoder.batches([b"\xff\xff\xff\xff"], 0)
    assert (decoded.lost, decoded.why) == (1, "a list in it is longer than its bytes")


def test_big_endian_messages_are_read():
    decoder = RosDecoder(from_msg("a/msg/X", "uint8 a\nfloat64 b\nint16[] c\n", ros1=False), ros1=False)
    payload = b"\0\0\0\0" + b"\7" + bytes(7) + np.array([2.5], ">f8").tobytes() + b"\0\0\0\2" + b"\0\1\xff\xff"
    [batch] = decoder.batches([payload], 0).batches
    assert {path: values.tolist() for path, values in batch.numbers.items()} == {"a": [7], "b": [2.5], "c": [[1, -1]]}
