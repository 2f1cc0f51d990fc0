"""Measurements of Wolfman et al. 2023, which are not part of the repository."""

import csv

import numpy as np

from tests.helpers import data_file


def whiteline_traces(name):
    """Instants [s] and {particle: energy [eV]} of a set of Wolfman et al. 2023."""
    with open(data_file(f"{name}_whiteline_traces.csv"), newline="") as stream:
        header, *rows = csv.reader(stream)
    values = np.array(rows, float).T
    labels = [name.split("_")[1] for name in header[1:]]
    return 3600.0 * values[0], dict(zip(labels, values[1:], strict=True))
