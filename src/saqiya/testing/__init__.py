"""Public checkers of the plug-in contracts, and builders for tests.

A checker raises `AssertionError` with one plain sentence of what the contract demands; it returns nothing when all is
well. Write one test for each plug-in of yours:

    def test_my_site_keeps_the_contract():
        check_site(MySite)
"""

from saqiya.testing.clock import ManualClock
from saqiya.testing.detectors import check_detector
from saqiya.testing.episodes import make_episode, make_video
from saqiya.testing.formats import check_format
from saqiya.testing.sites import check_site
from saqiya.testing.trainers import check_trainer

__all__ = [
    "ManualClock",
    "check_detector",
    "check_format",
    "check_site",
    "check_trainer",
    "make_episode",
    "make_video",
]
