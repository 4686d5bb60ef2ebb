import pytest

from saqiya.models.roles import Role, roles_of


@pytest.mark.parametrize(
    ("name", "roles"),
    [
        ("contact/force", {Role.FORCE}),
        ("action/executed", {Role.COMMANDED}),
        ("observation/joint_positions", {Role.MEASURED}),
        ("/joint_states/effort", {Role.FORCE}),
        ("/LeftGripper", {Role.GRIPPER}),
        ("clock/robot", {Role.CLOCK}),
        ("author", {Role.LABEL}),
    ],
)
def test_a_name_says_what_a_stream_is_for(name, roles):
    assert roles_of(name) == roles


@pytest.mark.parametrize(
    "name",
    ["policy/uncertainty", "policy/chunk", "shadow/next/action", "shadow/a/b/uncertainty", "monitor/score"],
)
def test_what_was_only_thought_is_no_sensor_and_no_command(name):
    assert roles_of(name) == {Role.LABEL}


@pytest.mark.parametrize("name", ["policy/action", "shadow/hand/joints", "monitor/temperature"])
def test_a_foreign_stream_under_such_a_name_is_not_lost(name):
    assert Role.LABEL not in roles_of(name)
