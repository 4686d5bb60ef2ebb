"""A page that would take long says so, and a server reads ahead what its first visitors ask for."""

import threading

from saqiya.loop.flywheel import Flywheel
from saqiya.loop.fresh import Fresh
from saqiya.server.app import create_app
from saqiya.server.settings import ServerSettings

PAGE = {"accept": "text/html"}


def test_a_page_whose_facts_take_long_says_so_and_the_browser_asks_again(house, people, monkeypatch):
    go = threading.Event()
    board = house.app.state.kept.board
    slow = Fresh(lambda: go.wait(30) and board._read(), board._version, clock=house.wheel.clock, wait_s=0.01)
    monkeypatch.setattr(board, "_known", slow.get)
    visitor = next(iter(client for rank, client in people.items() if rank is not None))
    answer = visitor.get("/failures", headers=PAGE)
    assert (answer.status_code, answer.headers["refresh"]) == (503, answer.headers["retry-after"])
    assert "still being read" in answer.text
    go.set()
    while slow.behind:
        pass
    assert visitor.get("/failures", headers=PAGE).status_code == 200


def test_a_server_that_starts_reads_what_the_first_pages_show(house):
    with Flywheel(house.wheel.store.root) as wheel:
        app = create_app(wheel, ServerSettings(secret=bytes(32)))
        with house.visitor(app):
            pass  # it stops after it has read ahead
        assert not app.state.kept.behind("wheel")
        assert not app.state.kept.board.behind
