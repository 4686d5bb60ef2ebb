"""Answers that a server keeps are found again when something is stored, and when they have grown old by themselves."""

from saqiya.server.kept import HOUR_NS, Kept


def test_how_long_failures_wait_grows_although_nothing_is_stored(house, monkeypatch):
    kept, clock, ahead = Kept(house.wheel), house.wheel.clock, [0]
    monkeypatch.setattr(house.wheel, "clock", lambda: clock() + ahead[0])

    def now_ns():
        return kept.get("now", lambda wheel: wheel.clock())

    first = now_ns()
    ahead[0] = 30 * HOUR_NS
    assert now_ns() >= first + 30 * HOUR_NS


def test_an_answer_is_kept_while_nothing_is_stored(house, monkeypatch):
    kept, asked = Kept(house.wheel), []
    monkeypatch.setattr(house.wheel, "clock", lambda: 7 * HOUR_NS + 1)
    for _ in range(3):
        kept.get("count", lambda _: asked.append(1))
    assert len(asked) == 1
