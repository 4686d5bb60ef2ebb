"""The catalog that the benchmark fills in bulk is what Saqiya itself would have stored, and every figure is made."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def catalog(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec = spec_from_file_location("benchmarks.catalog", ROOT / "benchmarks" / "catalog.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "benchmarks.catalog", module)
    spec.loader.exec_module(module)
    return module


def test_what_is_filled_in_bulk_holds_no_lie(catalog, tmp_path):
    from saqiya.stores.verify import verify

    store = catalog.opened(tmp_path / "store", create=True)
    maker = catalog.Maker(store)
    maker.grow(250)
    maker.grow(300)
    report = verify(store.catalog, store.objects, full=True, derived=store.derived, now_ns=0)
    assert report.lies == ()
    with catalog.Questions(store) as ask:
        (row,) = ask.table("SELECT (SELECT count(*) FROM episodes) AS e, (SELECT count(*) FROM spans) AS s").to_pylist()
    assert (row["e"], row["s"]) == (300, maker.spans)
    store.close()


@pytest.mark.slow
def test_every_figure_is_made(catalog):
    found = list(catalog.run(quick=True))
    assert {"catalog.300.episodes.filter.ms", "catalog.300.questions.peak_bytes"} <= {one.name for one in found}
    assert all(
        one.met is not None
        for one in found
        if one.name.endswith((".point.ms", "by_key.ms")) and "alone" not in one.name
    )
