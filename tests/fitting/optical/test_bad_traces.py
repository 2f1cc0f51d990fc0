"""Tables of intensities as they should not be, and clocks that cannot be told."""

import re

import numpy as np
import pytest

from fitting.optical.trace_tables import read_traces

TOP = "time_s,p,q"


def rows(count=10):
    return [f"{60 * k},{0.1 + 0.01 * k:.3f},{0.2 + 0.02 * k:.3f}" for k in range(count)]


def numbered(count=10):
    return [" ,Mean1", *(f"{k + 1},{0.1 + 0.01 * k:.3f}" for k in range(count))]


def changed(line, text):
    lines = [TOP, *rows()]
    lines[line - 1] = text
    return lines


REFUSED = {
    "an empty file": ([""], {}, "must have a header line, but is empty"),
    "a time without unit": (
        ["time,p", "0,1", "60,2"],
        {},
        "column time, must name its unit, one of s, min, h; .*'time_h'",
    ),
    "a date that is none": (
        ["date,p", "2024-11-20 10:00:00,1", "soon,2"],
        {},
        "line 3, column date, must be a date such as .* but is 'soon'; correct",
    ),
    "two times": (
        ["time_s,time_h,p", "0,0,1", "3600,1,2"],
        {},
        "one column of time, but has time_s and time_h",
    ),
    "no particle": (["frame,time_s", "0,0", "1,60"], {}, "one column a particle"),
    "no table of intensities": (
        ["x_px,y_px,r_px", "1,2,3"],
        {},
        "must be a table of intensities, .* but has x_px, y_px, r_px",
    ),
    "statistics without the mean": (
        [" ,Area1,Min1", "1,314,9", "2,314,9"],
        {"interval": 1.0},
        "must have the columns Mean1, Mean2, .*tick 'Mean' in Set Measurements",
    ),
    "rows without frames": (
        [" ,Label,Mean", "1,film.tif:a,3", "2,film.tif:a,4"],
        {"interval": 1.0},
        "must tell the frame of each row .* tick 'Stack position'",
    ),
    "rows of particles without brightness": (
        ["y,mass,frame,particle", *(f"9,{k},{k // 2},{k % 2}" for k in range(20))],
        {"interval": 1.0},
        "must name its column of brightness, .* has y, mass, frame, particle; rename",
    ),
    "frames without times": (numbered(), {}, "10 frames without times; give either"),
    "a clock set back": (
        [TOP, *rows(6), *(f"{60 * k + 30},0.{k}1,0.{k}2" for k in range(3, 9))],
        {},
        "frame 7, must not .* from 300 back to 210 s, .* add about 150 s to the times",
    ),
    "a clock set back in a long table": (
        [
            "particle,time_s,intensity",
            *(f"{name},{60 * k},0.{k}" for k in range(6) for name in "pq"),
            *(f"{name},{60 * k + 30},0.{k}" for k in range(3, 9) for name in "pq"),
        ],
        {},
        "particle 'p', frame 7, must not be earlier .* from 300 back to 210 s",
    ),
    "a clock set back twice": (
        [TOP, *rows(5), *rows(5), *rows(5)],
        {},
        r"frame 6, must .* from 240 back to 0 s \(and 1 more frame does\)",
    ),
    "times twice": (
        numbered(),
        {"interval": 1.0, "times": np.arange(10.0)},
        "10 frames without times; give either the interval .* or their times",
    ),
    "an interval beside times": (
        [TOP, *rows()],
        {"interval": 60.0},
        "has times of its own; leave out the interval and the times",
    ),
    "an interval that is none": (
        numbered(),
        {"interval": 0.0},
        "interval must be positive, but is 0 s",
    ),
    "times of another film": (
        numbered(),
        {"times": np.arange(9.0)},
        "`times` must have one time per frame of traces.csv, 10, but has 9",
    ),
    "times that go back": (
        numbered(),
        {"times": np.array([0.0, 1, 2, np.nan, 4, 5, 6, 7, 8, 9])},
        "Frame 4 must have a finite time, but has nan",
    ),
    "text for an intensity": (
        changed(5, "180,dark,0.2"),
        {},
        "line 5, column p, must be a finite number, but is 'dark'",
    ),
    "a time that is none": (
        changed(5, "soon,0.1,0.2"),
        {},
        "line 5, column time_s, must be a finite number, but is 'soon'",
    ),
    "a cell too many": (changed(5, "180,0.1,0.2,7"), {}, "line 5, must have 3 cells"),
    "no intensity at all": (
        [TOP, *(f"{k},,NaN" for k in range(9))],
        {},
        "must have an intensity in one frame or more, but has none for any",
    ),
    "one frame": ([TOP, *rows(1)], {}, "must have two frames or more, but has 1"),
    "two particles of one name": (
        ["time_s,p,p", *rows()],
        {},
        "Every particle must have one trace, but 'p' has 2; rename or remove one",
    ),
    "a frame twice": (
        ["time_s,particle,intensity", "0,a,1", "60,a,2", "60,a,3"],
        {},
        "line 4, must be another frame of particle 'a', but repeats that of line 3",
    ),
    "a comment that is none": (
        ["# scale: eight bit", TOP, *rows()],
        {},
        "comment '# scale: eight bit', must hold a number, but holds 'eight'",
    ),
    "a scale beside its own": (
        ["# scale: 255", TOP, *rows()],
        {"scale": 765.0},
        "in units of its own scale, 255; leave out the scale of 765",
    ),
    "commas that may part thousands": (
        ["time_s;p", "0;987", "60;1,012", "120;1,100"],
        {},
        "show whether its commas part thousands or decimals, but has '1,012' and '987'",
    ),
    "a scale that is none": ([TOP, *rows()], {"scale": 0.0}, "scale must be positive"),
}


def written(folder, lines):
    path = folder / "traces.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_right_is_refused_in_one_sentence(name, tmp_path):
    lines, options, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        read_traces(written(tmp_path, lines), **options)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


NOTED = {
    "empty cells": (
        changed(5, "180,,0.26"),
        {},
        "particle 'p' has no intensity in 1 of 10 frames",
    ),
    "cells of NaN": (
        changed(5, "180,NaN,0.26"),
        {},
        "particle 'p' has no intensity in 1 of 10 frames",
    ),
    "a particle without intensity": (
        [TOP, *(f"{k},NaN,0.{k}" for k in range(9))],
        {"inverted": True},
        "particle 'p' has no intensity in any frame",
    ),
    "a constant trace": (
        [TOP, *(f"{60 * k},0.5,{0.1 * k:.2f}" for k in range(10))],
        {},
        "particle 'p' is constant at 0.5",
    ),
    "few frames": ([TOP, *rows(5)], {}, "has 5 frames only; an onset is .* 8 or more"),
    "no scale": (
        [TOP, *(f"{60 * k},{20 * k},{10 * k}" for k in range(10))],
        {},
        "does not tell the raw value of 1 .its largest value, 180, fits 0 to 255.",
    ),
    "sums of channels": (
        [TOP, *(f"{60 * k},{0.3 * k:.2f},{0.1 * k:.2f}" for k in range(10))],
        {},
        "raw value of 1 .its largest value, 2.7, fits 0 to 3.",
    ),
    "more than the scale": (
        [TOP, *(f"{60 * k},{30 * k},{10 * k}" for k in range(10))],
        {"scale": 255.0},
        "intensities reach 1.059 in units of the scale 255; check it",
    ),
    "below zero": (changed(5, "180,-0.3,0.26"), {}, "intensities fall to -0.3, below"),
    "frames of the newest first": (
        [TOP, *rows()[::-1]],
        {},
        "frames were not in the order of time .frame 2.",
    ),
    "three frames the other way round": (
        [TOP, *rows()[:3], *rows()[3:6][::-1], *rows()[6:]],
        {},
        "frames were not in the order of time .frame 5.",
    ),
    "a stray frame": (
        [TOP, rows()[6], *rows()[:6], *rows()[7:]],
        {},
        "frames were not in the order of time .frame 2.",
    ),
    "the second half first": (
        [TOP, *rows()[5:], *rows()[:5]],
        {},
        "frames were not in the order of time .frame 6.",
    ),
    "shuffled frames": (
        [TOP, *(rows(40)[k] for k in np.random.default_rng(0).permutation(40))],
        {},
        "frames were not in the order of time .frame ",
    ),
    "two frames at one time": (
        changed(5, "120,0.13,0.26"),
        {},
        "1 frame at the time of another; left aside",
    ),
    "text below": ([TOP, *rows(), "mean of all"], {}, "text below the table, line 12"),
    "a header that is repeated": ([TOP, *rows(), TOP], {}, "header is repeated 1 time"),
}


@pytest.mark.parametrize("name", NOTED)
def test_what_is_doubtful_leaves_a_note(name, tmp_path):
    lines, options, words = NOTED[name]
    found = read_traces(written(tmp_path, lines), **options)
    notes = [note for note in found.notes if re.search(words, note)]
    assert len(notes) == 1, found.notes
    assert np.all(np.diff(found.time) > 0)
    assert found.intensity[1][np.isfinite(found.intensity[1])].size == len(found.time)


def test_a_missing_intensity_is_nan_in_its_frame_only(tmp_path):
    found = read_traces(written(tmp_path, changed(5, "180,n/a,0.26")))
    assert np.flatnonzero(~found.valid[0]).tolist() == [3]
    assert found.valid[1].all()
