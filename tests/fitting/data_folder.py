"""Where the tests find measurements that are not part of the repository."""

import csv
import os
import pathlib

import numpy as np
import pytest


def data_file(name):
    """A file of the shared data, or a skip that says why."""
    beside = pathlib.Path(__file__).parents[3] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("DIFFELEC_DATA", beside))
    found = sorted(folder.rglob(name)) if folder.is_dir() else []
    if not found:
        pytest.skip(f"there is no {name} under {folder}; set DIFFELEC_DATA")
    return found[0]


def whiteline_traces(name):
    """Instants [s] and {particle: energy [eV]} of a set of Wolfman et al. 2023."""
    with open(data_file(f"{name}_whiteline_traces.csv"), newline="") as stream:
        header, *rows = csv.reader(stream)
    values = np.array(rows, float).T
    labels = [name.split("_")[1] for name in header[1:]]
    return 3600.0 * values[0], dict(zip(labels, values[1:], strict=True))
