import numpy as np

from saqiya.models.folds import deal, turns


def test_every_class_is_spread_evenly_and_groups_stay_whole():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    groups = np.where(np.arange(60) < 6, 0, np.arange(60))
    labels[:6] = 1
    fold = deal(labels, groups, folds_n=5, seed=3)
    assert len(set(fold[:6].tolist())) == 1
    for label in (0, 2):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_every_row_is_judged_once_by_what_did_not_see_it():
    labels = np.repeat([0, 1], 10)
    fold = deal(labels, np.arange(20), folds_n=4, seed=0)
    judged = np.concatenate([judge for _, judge in turns(fold)])
    assert sorted(judged.tolist()) == list(range(20))
    assert all(not set(learn) & set(judge) for learn, judge in turns(fold))


def test_another_seed_deals_other_folds_and_the_same_seed_the_same():
    labels = np.repeat([0, 1], 15)
    one, again, other = (deal(labels, np.arange(30), folds_n=5, seed=seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert (one != other).any()
