"""The page of speed: made of the results that are there."""

import json
import shutil

import pytest

from benchmarks import speed, speed_page
from benchmarks.machine import RESULTS


def tables(page):
    """Rows of every table of a page, as lists of cells."""
    found, inside = [], False
    for line in page.splitlines():
        if line.startswith("|"):
            if not inside:
                found.append([])
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        inside = line.startswith("|")
    return found


def test_every_kept_result_has_its_section_and_whole_tables():
    page = speed_page.page(RESULTS)
    kept = [n for n in speed_page._SECTIONS if (RESULTS / f"{n}.json").exists()]
    assert {"forward", "gradient", "batch", "large", "pybamm_costs"} <= set(kept)
    assert page.count("\n## ") == len(kept)
    for name in kept:
        assert f"`{name}.json`" in page
    assert len(tables(page)) >= len(kept)
    for rows in tables(page):
        assert len(rows) > 2
        assert {len(row) for row in rows} == {len(rows[0])}


def test_numbers_are_those_of_the_results(tmp_path):
    shutil.copy(RESULTS / "forward.json", tmp_path)
    page = speed_page.page(tmp_path)
    assert page.count("\n## ") == 1
    solvers, ratios = tables(page)
    known = json.loads((RESULTS / "forward.json").read_text(encoding="utf-8"))
    rows = known["figures"]["rows"]
    assert [row[0] for row in solvers[2:]] == [row["solver"] for row in rows]
    for cells, row in zip(solvers[2:], rows, strict=True):
        assert float(cells[2]) == pytest.approx(1e3 * row["median_s"], rel=0.01)
        assert float(cells[4]) == pytest.approx(row["error_x"], rel=0.06)
    for cells in ratios[2:]:
        error = ratios[0][1].removeprefix("at ")
        ratio = known["figures"]["ratios"][f"{cells[0]} at {error}"]
        assert float(cells[1]) == pytest.approx(ratio, abs=0.006)


def test_a_part_that_cannot_run_says_why(monkeypatch):
    monkeypatch.setitem(speed.PARTS, "forward", "no_such_package")
    assert speed.run("forward", ()) == (
        "left out, as no_such_package is not installed (extra `bench`)"
    )
    assert speed.run("gradient", ("--nonsense",)) == "failed with exit status 2"
