"""`ablate` on a turned wheel and on logs alone: it retrains, judges, answers, and goes on where it stopped."""

import json

import pytest

from saqiya.domain.nouns import Ablation, Audit, Correction, Episode
from saqiya.errors import UsageError
from saqiya.loop.flywheel import Flywheel
from saqiya.loop.novelty import ablate as shell


@pytest.fixture
def wheel(turned):
    with Flywheel(turned) as opened:
        yield opened


@pytest.fixture
def logs(wheel, fresh, monkeypatch):
    """A workspace for data alone that holds the wheel's demonstrations, and a trainer as quick as the wheel's."""
    taught = [one.episode for one in wheel.store.catalog.all(Correction) if one.accepted and not one.takeovers]
    wheel.data.export(taught, fresh / "out", form="mcap")
    with Flywheel.init(fresh / "logs") as opened:
        opened.ingest([fresh / "out"])
        monkeypatch.setattr(shell, "USUAL_TRAINER", "ridge")
        yield opened


def ask(wheel, **words):
    return wheel.pump.ablate(**{"choose": 3, "seeds": 4, "tries": 6, **words})


def test_every_arm_is_judged_by_retrained_policies_and_charged(wheel):
    made = ask(wheel)
    report = made.report
    assert set(report["arms"]) == {"novelty", "longest", "plain", "random"}
    assert report["measure"] == "success"
    assert all(len(arm["values"]) == 4 for arm in report["arms"].values())
    assert report["rollouts"] == (3 + 2) * 4 * report["tries"]
    assert report["arms"]["plain"]["cost"] >= report["arms"]["novelty"]["cost"]
    assert len(report["chosen"]) == 3
    assert made.answer.startswith("Yes" if made.gained else "No")
    assert {one["rival"] for one in report["differences"]} == {"random", "longest", "plain"}


def test_the_answer_is_kept_and_so_is_every_unit(wheel, monkeypatch):
    made = ask(wheel, score="bits")
    folder = wheel.store.derived / "ablate"
    kept = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(shell._Bench, "policy", None)  # nothing is trained twice
    assert ask(wheel, score="bits") == made
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == kept


def test_an_interrupted_ablation_goes_on_and_answers_the_same(wheel):
    made = ask(wheel, score="surprisal")
    folder = wheel.store.derived / "ablate"
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    gone = sorted(before)[::2]
    for path in gone:
        path.unlink()
    again = shell._answered(shell._Bench(wheel, shell.Ask(3, "surprisal", 4, 6), shell.gather(wheel, (), ())))
    assert again.report == made.report
    after = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert after.keys() == before.keys()
    assert all(after[path] == before[path] for path in before if path not in gone)


def test_nobody_is_judged_where_it_was_taught(wheel):
    subject = shell.gather(wheel, (), ())
    bench = shell._Bench(wheel, shell.Ask(3, "length", 4, 40), subject)
    taught = {wheel.episode(one.name).start.key for one in (*subject.base, *subject.candidates)}
    assert not taught & {one.key for one in bench.starts}


def test_the_candidates_are_corrections_and_the_base_is_the_bootstrap(wheel):
    subject = shell.gather(wheel, (), ())
    sources = [{wheel.episode(one.name).source for one in group} for group in (subject.base, subject.candidates)]
    assert sources[0] == {"demonstration"}
    assert any(one.takeovers for one in subject.candidates)
    assert all(one.human_steps < wheel.episode(one.name).steps for one in subject.candidates if one.takeovers == 1)


def test_logs_alone_are_judged_by_held_out_action_error_and_say_so(logs):
    made = ask(logs, choose=2)
    assert made.report["measure"] == "action error"
    assert made.report["tries"] == made.report["rollouts"] == 0
    assert made.report["judges"] >= 2
    assert "action error" in made.answer
    assert all(value < 0.0 for value in made.report["arms"]["novelty"]["values"])


def test_base_and_candidates_can_be_named(logs):
    ids = [one.id for one in logs.store.catalog.all(Episode)]
    logs.data.version("known", ids[:3])
    subject = shell.gather(logs, ids, ["dataset/known"])
    assert {one.name for one in subject.base} == set(ids[:3])
    assert not {one.name for one in subject.base} & {one.name for one in (*subject.candidates, *subject.judges)}


def test_what_is_in_quarantine_is_no_candidate_and_cannot_be_named(wheel):
    catalog = wheel.store.catalog
    one = shell.gather(wheel, (), ()).candidates[0].name
    held = Audit(id=catalog.new_id("audit"), episode=one, version="test", verdict="quarantine", findings=())
    catalog.put(held, key=f"{catalog.key_of(one)}/audit/{held.id}")
    assert one not in {piece.name for piece in shell.gather(wheel, (), ()).candidates}
    with pytest.raises(UsageError, match="1 of 1 episodes are in quarantine"):
        shell.gather(wheel, [one], ())


@pytest.mark.parametrize("words", [{"choose": 999}, {"seeds": 3}, {"score": "luck"}, {"tries": 0}])
def test_what_cannot_be_asked_is_refused(wheel, words):
    with pytest.raises(UsageError):
        ask(wheel, **words)


@pytest.mark.parametrize(("seeds", "tries"), [(3, 50), (8, 0), (8, -4)])
def test_nothing_is_foreseen_of_too_few(wheel, seeds, tries):
    with pytest.raises(UsageError, match="tell nothing"):
        wheel.pump.foresee_ablation(seeds, tries)


def test_a_workspace_without_episodes_cannot_be_asked(fresh):
    with Flywheel.init(fresh / "empty") as wheel, pytest.raises(UsageError, match="too few"):
        ask(wheel)


def test_the_noun_is_json(wheel):
    made = ask(wheel, score="length")
    assert "longest" not in made.report["arms"]
    assert json.loads(json.dumps(made.report)) == made.report
    assert wheel.store.catalog.all(Ablation)[-1] == made
