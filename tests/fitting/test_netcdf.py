"""NetCDF as xarray and ArviZ open it, written without them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fitting import netcdf

ROOT = Path(__file__).parents[2]

pytest.importorskip("h5netcdf")
xarray = pytest.importorskip("xarray")

HELD = netcdf.Group(
    {
        "voltage": (("time",), np.array([3.0, np.nan, 4.0]), {"units": "V"}),
        "reacted": (("time", "particle"), np.eye(3, 2) > 0, {"units": "1"}),
        "count": ((), 7, {}),
    },
    {
        "time": (("time",), np.arange(3.0), {"units": "s"}),
        "particle": ["p0", "µ1"],
        "imaged": (("particle",), np.array([1, 0], np.int8), {}),
    },
)


def told_by(code):
    """Status and output of a process of its own."""
    run = [sys.executable, "-c", code]
    found = subprocess.run(run, capture_output=True, text=True, check=False, cwd=ROOT)
    return found.returncode, found.stdout


def test_a_file_opens_as_the_dataset_that_was_meant(tmp_path):
    netcdf.write(tmp_path / "a.nc", {"": HELD}, {"title": "a test", "seed": 3})
    meant = xarray.Dataset(
        HELD.variables,
        coords={
            **{"time": HELD.coordinates["time"], "particle": ["p0", "µ1"]},
            "imaged": HELD.coordinates["imaged"],
        },
        attrs={"title": "a test", "seed": 3},
    )
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        xarray.testing.assert_identical(found.load(), meant)
        assert found.reacted.dtype == bool


def test_groups_carry_the_attributes_and_their_own_axes(tmp_path):
    short = netcdf.Group({"lp": (("draw",), np.zeros(5), {})}, {"draw": np.arange(5)})
    groups = {"posterior": HELD, "sample_stats": short}
    netcdf.write(tmp_path / "a.nc", groups, {"seed": 3})
    with xarray.open_datatree(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert set(found.children) == set(groups)
        assert dict(found["posterior"].sizes) == {"time": 3, "particle": 2}
        assert dict(found["sample_stats"].sizes) == {"draw": 5}
        assert {child.attrs["seed"] for child in found.children.values()} == {3}


def test_a_full_disk_is_an_error_in_words(tmp_path):
    code = (
        "import resource, signal, numpy as np; from fitting import netcdf\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "group = netcdf.Group({'a': (('b',), np.ones(10**5), {})}, {})\n"
        f"try: netcdf.write({str(tmp_path / 'a.nc')!r}, {{'': group}}, {{}})\n"
        "except OSError as error: print(error.strerror)"
    )
    assert told_by(code) == (0, "File too large\n")


def test_an_axis_may_be_empty(tmp_path):
    """A sweep of rests has no half cycle."""
    none = netcdf.Group(
        {"capacity": (("lane", "half_cycle"), np.zeros((2, 0)), {"units": "C"})},
        {"half_cycle": np.arange(0), "step": []},
    )
    netcdf.write(tmp_path / "a.nc", {"": none}, {})
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert dict(found.sizes) == {"lane": 2, "half_cycle": 0, "step": 0}
        assert found.capacity.shape == (2, 0)


def test_writing_imports_neither_xarray_nor_pandas(tmp_path):
    code = (
        "import sys; from fitting import netcdf\n"
        "group = netcdf.Group({'a': (('b',), [1.0], {})}, {'b': ['c']})\n"
        f"netcdf.write({str(tmp_path / 'a.nc')!r}, {{'': group}}, {{}})\n"
        "print([n for n in ('xarray', 'pandas') if n in sys.modules])"
    )
    assert told_by(code) == (0, "[]\n")
