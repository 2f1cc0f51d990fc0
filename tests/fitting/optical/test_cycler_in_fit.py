"""`diffelec fit --cycler` takes every layout, and says how to read it again."""

import shlex

import numpy as np
import pytest

from fitting import cli, fit_files
from fitting.commands import fit

from . import vendor_files as vendor
from .bad_rows import dated, spring_dates

ONSETS = "particle,event,time_h,sd_h\np,midpoint,1.2,0.1\nq,midpoint,1.9,0.1\n"
LAYOUTS = {
    "maccor": (vendor.maccor, ("--current-unit", "mA"), "cycler.csv"),
    "biologic": (vendor.biologic, (), "cycler.csv"),
    "neware book": (vendor.neware_book, (), "cycler.xlsx"),
}


def arguments(folder, path, *more):
    (folder / "o.csv").write_text(ONSETS)
    words = ["fit", "--onsets", str(folder / "o.csv"), "--cycler", str(path)]
    return cli.parser().parse_args([*words, *more, "--out", str(folder / "out")])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fit_is_set_up_from_any_layout(layout, tmp_path, capsys):
    write, options, name = LAYOUTS[layout]
    path = write(tmp_path / "cell.csv", vendor.made())
    given = arguments(tmp_path, path, *options)
    job = fit.prepare(given)
    np.testing.assert_allclose(job.setup.events.time[0], 1.2 * 3600.0)
    assert "half cycle 1: charge" in capsys.readouterr().err
    words = shlex.split(fit.command(given))
    assert words[words.index("--cycler") + 1] == name
    assert set(options) <= set(words)
    assert fit_files.cycler_name(path) == name


def test_a_maccor_file_without_unit_is_refused_by_name(tmp_path):
    path = vendor.maccor(tmp_path / "cell.csv", vendor.made())
    with pytest.raises(ValueError, match="give --current-unit as 'A' or 'mA'"):
        fit.prepare(arguments(tmp_path, path))


def test_a_time_is_repaired_on_request(tmp_path):
    data = vendor.made()
    time = np.where(np.arange(len(data.time)) == 40, 0.0, data.time)
    path = vendor.plain(tmp_path / "cell.csv", data._replace(time=time))
    with pytest.raises(ValueError, match="--repair-time"):
        fit.prepare(arguments(tmp_path, path))
    given = arguments(tmp_path, path, "--repair-time")
    fit.prepare(given)
    assert "--repair-time" in fit.command(given)


def test_a_clock_set_back_in_autumn_is_repaired_as_its_refusal_says(tmp_path):
    path = tmp_path / "cell.csv"
    path.write_text("\n".join(dated(spring_dates(4))))
    due = r"as clocks do in autumn; --repair-time makes time go on\.$"
    with pytest.raises(ValueError, match=due):
        fit.prepare(arguments(tmp_path, path))
    fit.prepare(arguments(tmp_path, path, "--repair-time"))


def test_a_unit_that_no_option_tells_is_mended_in_the_file(tmp_path):
    data = vendor.made()
    path = vendor.plain(tmp_path / "c.csv", data._replace(time=data.time / 3.6e6))
    with pytest.raises(ValueError, match="correct it in the column's name"):
        fit.prepare(arguments(tmp_path, path))


def test_a_mass_is_told_again_to_its_last_digit(tmp_path):
    given = arguments(tmp_path, tmp_path / "c.csv", "--mass-mg", "12.3456789")
    again = cli.parser().parse_args(shlex.split(fit.command(given))[1:])
    assert again.mass_mg == 12.3456789
