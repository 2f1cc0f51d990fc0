"""What benchmarks measure is what they say."""

import itertools
import os

import pytest

from benchmarks import onset_bias, posteriors


def test_no_two_cases_of_onset_bias_share_their_draws():
    grid = itertools.product(onset_bias.ALL, (4, 10), (5, 20), (False, True))
    first = [onset_bias.draws_of(*case).random() for case in grid]
    assert len(set(first)) == len(first) == 8 * len(onset_bias.ALL)


def test_the_time_of_a_posterior_is_without_pauses(tmp_path):
    folder = tmp_path / "s.chunks"
    for name, time in {
        "manifest.json": 0,
        "chain-0/0.npz": 400,
        "chain-1/0.npz": 450,
        "chain-0/1.npz": 450 + 86400,  # stopped for a day
        "chain-1/1.npz": 500 + 86400,
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (1e9 + time, 1e9 + time))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "summary.json").write_text("{}")
    assert posteriors.inferred("s", tmp_path)[1] == pytest.approx(500.0)
