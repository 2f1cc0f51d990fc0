import json
import math

import numpy as np
import pytest

from fitting import summary
from fitting.events import Event, Events

from .made_up import made_up_report


def test_the_summary_is_json_without_nan_and_names_its_units():
    text = json.dumps(summary.summary(made_up_report()), allow_nan=False)
    data = json.loads(text)
    event = data["events"][0]
    assert event["time_h"] == pytest.approx(6.5)
    assert event["predicted_h"] == pytest.approx(6.4)
    assert event["predicted_sd_h"] == pytest.approx(0.15)
    assert event["after_h"] is None
    assert data["probability_of_larger"] is None
    assert data["parameters"][0]["parameter"].endswith("[log10(m)]")
    assert data["parameters"][1]["determined_by_data"] is False
    assert data["search"]["failed_solves"] == 1


def test_bounds_that_are_not_there_are_empty():
    rows = [
        dict(zip(summary.EVENT_COLUMNS, row, strict=True))
        for row in summary.event_rows(made_up_report())
    ]
    never, before = rows[3], rows[4]
    assert (never["after_h"], never["before_h"]) == (pytest.approx(9.8), None)
    assert (before["after_h"], before["before_h"]) == (None, pytest.approx(2.9))
    assert never["time_h"] is None
    assert rows[1]["fitted"] is False


def test_the_text_says_what_is_known_of_each_event():
    text = summary.text(made_up_report())
    for words in (
        "6.50 ± 0.20",
        "8.50 to 9.80",
        "after 9.80",
        "before 2.90",
        "duration (not fitted)",
        "chi-square 0.81 of 1 time, 0.4 degrees of freedom left",
        "1 of 2 directions",
        "  log10 diffusivity at x=0.98",
        "Only the product of conductivity",
    ):
        assert words in text
    assert "log10 contact radius blue" not in text
    assert "nan" not in text


def test_a_misfit_that_rounds_to_zero_has_no_sign():
    report = made_up_report()
    text = summary.text(report._replace(misfit=np.full(len(report.misfit), -0.04)))
    assert "-0.0" not in text


def test_deviations_of_seconds_have_a_digit():
    rows = [
        Event("a", "midpoint", time=1872.0, sd=9.0),
        Event("b", "midpoint", after=1860.0, before=1890.0),
        Event("c", "midpoint", after=1890.0, before=math.inf),
    ]
    known = {"events": Events.from_rows(rows), "fitted": np.ones(3, bool)}
    report = made_up_report(**known)
    report.predicted[:3] = 1880.0, 1881.0, math.inf
    lines = summary.text(report).splitlines()
    assert lines[1].split()[2:6] == ["0.520", "±", "0.003", "0.522"]
    assert lines[2].split()[2:6] == ["0.517", "to", "0.525", "0.522"]
    assert lines[3].split()[2:6] == ["after", "0.525", "after", "14.000"]


def test_an_event_that_the_model_never_shows_has_no_time():
    report = made_up_report()
    report.predicted[3] = np.inf
    rows = summary.event_rows(report)
    row = dict(zip(summary.EVENT_COLUMNS, rows[3], strict=True))
    assert (row["predicted_h"], row["predicted_sd_h"]) == (None, None)
    assert row["half_cycle_end_h"] == pytest.approx(14.0)
    assert "after 14.00" in summary.text(report)
    json.dumps(summary.summary(report), allow_nan=False)


def test_a_probability_is_told_where_there_is_one():
    report = made_up_report(probability=0.0123, num_rows=0)
    assert "no fitted event has a time" in summary.text(report)
    assert "probability of 0.012" in summary.text(report._replace(num_rows=2))
    assert np.isfinite(summary.summary(report)["probability_of_larger"])


def test_what_a_search_that_did_not_settle_states_is_said_to_be_no_optimum():
    report = made_up_report()
    marked = "those where it stopped, not those of an optimum"
    assert marked not in summary.text(report)
    assert summary.summary(report)["search"]["settled"] is True
    cut = report._replace(statistics=report.statistics | {"settled": False})
    assert marked in summary.text(cut)
    assert summary.summary(cut)["search"]["settled"] is False
