"""The commands about people: secrets are shown once and never stored or taken as arguments."""

import json

import pytest
from typer.testing import CliRunner

from saqiya.cli import people  # noqa: F401 - importing registers its commands
from saqiya.cli.app import app
from saqiya.domain.contracts import Roll
from saqiya.domain.nouns import Qualification, Source
from saqiya.errors import SignInRefused, UnknownId, UsageError
from saqiya.loop.flywheel import Flywheel


@pytest.fixture
def root(fresh):
    pytest.importorskip("argon2", reason="needs the extra serve")
    Flywheel.init(fresh / "lab").close()
    return fresh / "lab"


def run(root, *words, given=None):
    done = CliRunner().invoke(app, ["people", *words, "-w", str(root), "--json"], input=given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_a_password_is_made_shown_once_and_lets_in(root):
    told = run(root, "add", "ann", "--rank", "reviewer", "--skill", "push")
    with Flywheel(root) as wheel:
        assert wheel.staff.sign_in("ann", told["secret"]).rank == "reviewer"
        assert told["secret"] not in str(wheel.staff.people.get("ann"))
        with pytest.raises(SignInRefused):
            wheel.staff.sign_in("ann", "something else")
    (row,) = run(root, "list")
    assert (row["name"], row["rank"], row["suits"]) == ("ann", "reviewer", "push")


def test_ones_own_password_comes_through_a_pipe_and_is_not_shown(root):
    run(root, "add", "bob")
    told = run(root, "password", "bob", "--own", given="four unrelated words\n")
    assert "secret" not in told
    with Flywheel(root) as wheel:
        assert wheel.staff.sign_in("bob", "four unrelated words").name == "bob"
        assert [one.what for one in wheel.staff.trail.read()] == ["person/change", "person/add"]


def test_a_token_opens_until_it_is_revoked_and_nobody_disabled_comes_in(root):
    run(root, "add", "bob")
    secret = run(root, "token", "bob", "--for", "nightly")["secret"]
    with Flywheel(root) as wheel:
        person, scopes = wheel.staff.token(secret)
        assert (person.name, scopes) == ("bob", ("viewer",))
        kept = wheel.staff.people.tokens("bob")[0].id
    run(root, "token", "bob", "--revoke", kept)
    other = run(root, "token", "bob")["secret"]
    run(root, "disable", "bob")
    with Flywheel(root) as wheel:
        for one in (secret, other, "saqiya_guess"):
            with pytest.raises(SignInRefused):
                wheel.staff.token(one)


def test_what_cannot_be_is_refused(root):
    with pytest.raises(UsageError, match="cannot name"):
        run(root, "add", "no spaces")
    run(root, "add", "sue", "--rank", "admin")
    with pytest.raises(UsageError, match="of this name"):
        run(root, "add", "sue")
    with pytest.raises(UsageError, match="last admin"):
        run(root, "disable", "sue")
    with pytest.raises(UsageError, match="characters"):
        run(root, "password", "sue", "--own", given="short\n")
    with pytest.raises(UnknownId):
        run(root, "password", "zoe")


def test_a_token_expires_and_a_new_password_ends_what_was_signed(root):
    now = [10**18]
    with Flywheel(root, clock=lambda: now[0]) as wheel:
        ann, _ = wheel.staff.add("ann", by="test")
        _, secret = wheel.staff.issue("ann", "x", ["viewer"], days=1, by="ann")
        wheel.staff.password("ann", by="ann")
        assert wheel.staff.people.get("ann").epoch > ann.epoch
        wheel.staff.token(secret)
        now[0] += 2 * 86_400 * 10**9
        with pytest.raises(SignInRefused):
            wheel.staff.token(secret)


def test_whoever_has_not_shown_the_task_is_offered_nothing_else_of_it(turned):
    run(turned, "add", "bob")
    with Flywheel(turned) as wheel:
        wheel.detect()
        wheel.triage()
        wheel.desk.claim("bob", wheel.requests()[0].id)
    made = run(turned, "exam", "--count", "2", "--needed", "2")
    with Flywheel(turned) as wheel:
        wheel.desk.hand_back(wheel.desk.held("bob")[0].id, "bob")
        assert [one.request.id for one in wheel.desk.queue("bob") if not one.blocked] == [made["request"]]
        for number in range(2):
            lease = wheel.desk.claim("bob")
            roll = Roll(f"shown/{number}", lease.start, Source.CORRECTION, operator="bob")
            wheel.desk.submit(lease.id, "bob", next(iter(wheel.roller([roll]))).episode.id)
        assert [(one.tries, one.passed) for one in wheel.store.catalog.all(Qualification)] == [(1, False), (2, True)]
        assert wheel.desk.claim("bob").request.id != made["request"]


def test_an_examination_needs_starts_of_one_task(root):
    run(root, "add", "bob")
    with pytest.raises(UsageError, match="one task"):
        run(root, "exam")
