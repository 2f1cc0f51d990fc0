import dataclasses
import json
import shlex
import sys
import types
from pathlib import Path

import numpy as np
import pytest

import fitting.optical
import fitting.style
from fitting import cli
from fitting.commands import film_clock, onset_files, onsets
from fitting.optical import clock, cycler, trace_tables
from fitting.optical.circles import Circle
from fitting.readers import read_events
from fitting.recording import Recording

from .made_traces import HOUR, TIMES, rise, traces_of
from .test_clock import THREE_TURNS, filmed


class StillFilm:
    """Frames of 20 x 30 px in which nothing moves."""

    shape = (20, 30)
    time = TIMES

    def frame(self, k):
        return np.full((20, 30), 0.1 + 0.001 * k, np.float32)


def made():
    """Two particles over a charge and a discharge, with 600 s between the clocks."""
    one = rise(2.0) - rise(9.0)
    rows = {"p1": one, "p2": rise(4.0) - rise(8.0), "p3": np.zeros(TIMES.size)}
    hours = np.linspace(0.0, 12.0, 200)
    current = np.where(hours < 6, 1e-3, -1e-3)
    volts = 3.6 + np.cumsum(current)
    return traces_of(rows, 0.005), Recording(HOUR * hours + 600.0, volts, current)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """(folder, status, stdout) of one run with all files."""
    out = tmp_path_factory.mktemp("onsets") / "out"
    traces, recording = made()
    table = types.SimpleNamespace(recording=lambda: recording, notes=("Was read.",))
    marks = (Circle("p1", 6.0, 6.0, 4.0), Circle("p2", 20.0, 12.0, 5.0))
    found = clock.Offset(600.0, 30.0, drift=np.nan, count=2)
    stubs = {
        "trace_tables": {"read_traces": lambda path, **_: traces},
        "cycler": {"read_cycler": lambda path, **_: table},
        "clock": {"clock_offset": lambda t, r: found, "Offset": clock.Offset},
        "frames": {"open_film": lambda path, **_: StillFilm()},
        "region_files": {"read_circles": lambda path, shape: marks},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, members in stubs.items():
            module = types.ModuleType(f"fitting.optical.{name}")
            vars(module).update(members)
            patch.setitem(sys.modules, module.__name__, module)
            patch.setattr(fitting.optical, name, module, raising=False)
        # Figures are made but not rendered, which takes most of the time.
        patch.setattr(fitting.style, "save", lambda figure, path: path.touch())
        printed = []
        patch.setattr("builtins.print", lambda *a, **_: printed.append(" ".join(a)))
        words = "onsets t.csv --cycler c.csv --clock-offset-s auto --film f.tif"
        words += f" --regions r.zip --kymograph p1 --out {out}"
        status = cli.main(words.split())
    return out, status, "\n".join(printed)


def test_the_table_is_of_the_first_charge_and_fits_the_recording(done):
    out, status, _ = done
    assert status == cli.SUCCESS
    _, recording = made()
    events = read_events(
        out / "onsets.csv", recording=recording.half_cycle(0), surface=True
    )
    assert events.particles == ("p1", "p2", "p3")
    midpoint = events.time[events.exact & ~events.is_duration]
    np.testing.assert_allclose(
        midpoint / HOUR, 600 / HOUR + np.array([2, 4]), atol=0.03
    )
    assert events.right_censored.sum() == 1


def test_all_files_are_listed_in_the_study(done):
    out, _, _ = done
    study = json.loads((out / "study.json").read_text())
    assert set(study["files"]) == {path.name for path in out.iterdir()}
    assert {"onsets.csv", "events_all.csv", "population.json"} <= set(study["files"])
    assert {"onset_map_1.png", "montage_2.png", "kymograph_p1.png"} <= set(
        study["files"]
    )
    assert study["clock_offset_s"] == 600.0
    assert study["clock_sd_s"] == 30.0


def test_both_half_cycles_are_printed_with_what_to_do_next(done):
    _, _, said = done
    assert "charge 1 (0.17 to 6.14 h): 2 exact, 1 right-censored" in said
    assert "discharge 1 (6.20 to 12.17 h): 2 exact, 1 " in said
    assert "reads 600 +- 30 s when the film's reads 0, by 2 reversals" in said
    assert "note: Was read." in said
    assert "note: Frames are drawn as they are" in said
    assert "next: diffelec fit --onsets" in said
    frame = f"--edge-h {(TIMES[1] - TIMES[0]) / HOUR:.6g} --clock-sd-s 30"
    assert f"--cycler c.csv {frame} --seen surface --out fit" in said


def test_the_population_is_written_for_each_half_cycle(done):
    out, _, _ = done
    halves = json.loads((out / "population.json").read_text())
    assert [half["name"] for half in halves] == ["charge 1", "discharge 1"]
    assert 0 < halves[0]["measures"]["segregation"]["value"] <= 1
    assert len(halves[0]["curves"]["soc"]) == len(halves[0]["curves"]["active"])


def test_without_a_current_all_that_is_written_is_on_the_cycler_s_clock(
    tmp_path, monkeypatch
):
    traces, recording = made()
    recording = Recording(recording.time + 359400.0, recording.voltage)
    table = types.SimpleNamespace(recording=lambda: recording, notes=())
    monkeypatch.setattr(trace_tables, "read_traces", lambda path, **_: traces)
    monkeypatch.setattr(cycler, "read_cycler", lambda path, **_: table)
    ends = {}

    def look(figure, path):
        panels = [axes.get_xlim() for axes in figure.axes if axes.get_xlabel()]
        ends[path.name] = panels or [figure.axes[0].get_xlim()]

    monkeypatch.setattr(fitting.style, "save", look)
    words = "onsets t.csv --cycler c.csv --clock-offset-s 360000 --out o"
    found = onsets.find(cli.parser().parse_args(words.split()))
    onset_files.write(tmp_path, found)
    (half, *_) = json.loads((tmp_path / "population.json").read_text())
    assert min(half["curves"]["time_h"]) >= 99.0
    assert {"half_cycles.png", "raster_1.png", "reacted_1.png"} < set(ends)
    assert all(low > 99.0 for panels in ends.values() for low, _ in panels)


@pytest.mark.parametrize(
    "words",
    ["mass-mg 3", "current-unit mA", "discharge-positive", "capacity-mAh 3"],
)
def test_what_is_said_of_a_current_must_come_with_one(words, tmp_path):
    (tmp_path / "v.csv").write_text(
        "time_s,voltage_V\n" + "".join(f"{60 * k},{3 + 0.01 * k}\n" for k in range(50))
    )
    command = ["onsets", "t.csv", "--cycler", str(tmp_path / "v.csv"), "--out", "o"]
    given = cli.parser().parse_args([*command, *f"--{words}".split()])
    option = words.split()[0]
    with pytest.raises(ValueError, match=f"--{option} must come with a current, but v"):
        onsets._recording(given)
    onsets._recording(cli.parser().parse_args(command))


@pytest.mark.parametrize("option", ["mass-mg 3", "repair-time", "day-first"])
def test_what_is_said_of_a_cycler_s_file_must_come_with_it(option):
    words = f"onsets t.csv --out o --{option}"
    with pytest.raises(ValueError, match=f"--{option.split()[0]} must come with --cyc"):
        onsets.check(cli.parser().parse_args(words.split()))


@pytest.mark.parametrize("sure", [True, False])
def test_a_drift_of_the_film_s_clock_that_is_sure_is_taken_off_all_times(
    sure, monkeypatch
):
    """The film's clock loses 20 s in each 1000, a quarter of an hour in half a day."""
    traces, recording = made()
    slow = dataclasses.replace(traces, time=traces.time / 1.02)
    middle = float(slow.time[120])
    seen = clock.Offset(
        600.0 + 0.02 * middle,
        *(30.0, 0.02, 3, 0.002 if sure else 0.02),
        reference=middle,
    )
    table = types.SimpleNamespace(recording=lambda: recording, notes=())
    monkeypatch.setattr(trace_tables, "read_traces", lambda path, **_: slow)
    monkeypatch.setattr(cycler, "read_cycler", lambda path, **_: table)
    monkeypatch.setattr(clock, "clock_offset", lambda *_: seen)
    words = "onsets t.csv --cycler c.csv --clock-offset-s auto --out o"
    found = onsets.find(cli.parser().parse_args(words.split()))
    known = found.events.exact & ~found.events.is_duration
    times = found.events.time[known] / HOUR - np.array([2.0, 4.0]) - 600.0 / HOUR
    study = onset_files._study(found, [])
    notes = "\n".join(found.notes)
    if sure:
        np.testing.assert_allclose(times, 0.0, atol=0.03)
        assert study["clock_offset_s"] == pytest.approx(600.0)
        assert study["clock_drift"] == 0.02
        half = 0.5 * (found.chosen.half.start + found.chosen.half.end) / 1.02
        assert study["clock_sd_s"] == pytest.approx(
            np.hypot(30.0, 0.002 * (half - middle))
        )
        assert "more when the film's reads 5.882 h, by 3 reversals" in notes
        assert "gains 20 +- 2 s on the film's in 1000 s" in notes
        head = onset_files._comments(found)[0]
        assert "reads 600 s when the film's reads 0 and gains 20 s on the film" in head
    else:
        np.testing.assert_allclose(times, [0.08, 0.04], atol=0.03)
        assert (study["clock_drift"], study["clock_sd_s"]) == (0.0, 30.0)
        assert "gains" not in notes


@pytest.mark.parametrize("darkens", [True, False])
def test_the_clock_of_what_a_charge_darkens_is_that_of_what_it_brightens(darkens):
    traces, recording, offset = filmed(0, THREE_TURNS)
    if darkens:
        traces = dataclasses.replace(traces, intensity=1.0 - traces.intensity)
    arguments = types.SimpleNamespace(clock_offset_s="auto", inverted=darkens)
    found, _ = film_clock.offset(arguments, traces, recording)
    middle = float(traces.time.mean())
    assert abs(found.on_cycler(middle) - middle - offset) < 3 * found.sd < 1000.0


CHARGE, DISCHARGE = "Charge at C/20 until 4.3 V", "Discharge at C/20 until 3 V"


@pytest.mark.parametrize(
    ("number", "charges", "steps"),
    [
        (1, True, [CHARGE]),
        (2, False, [CHARGE, DISCHARGE]),
        (3, True, [CHARGE, DISCHARGE, CHARGE]),
        (1, False, [CHARGE, DISCHARGE]),
        (2, True, [CHARGE, DISCHARGE, CHARGE]),
    ],
)
def test_the_next_command_runs_the_half_cycles_before_the_one_that_was_seen(
    number, charges, steps, monkeypatch
):
    half = types.SimpleNamespace(number=number, charges=charges)
    found = types.SimpleNamespace(
        arguments=types.SimpleNamespace(out=Path("o"), cycler=None, film=None),
        traces=types.SimpleNamespace(time=TIMES),
        offset_sd=0.0,
        chosen=types.SimpleNamespace(half=half),
    )
    monkeypatch.setattr(onsets, "can_fit", lambda found: True)
    words = shlex.split(onsets._next(found).rpartition("next: ")[2])
    arguments = cli.parser().parse_args(words[1:])
    assert arguments.protocol == steps
    assert arguments.half_cycle == (len(steps) if len(steps) > 1 else None)


def test_a_vague_clock_that_loses_is_told_without_powers_of_ten():
    seen = clock.Offset(143612.3, 152.4, -0.033, 3, 0.002)
    told = film_clock._told(seen, 300.0)
    assert told.startswith("The cycler's clock reads 143612 +- 152 s more when")
    assert "It loses 33 +- 2 s on the film's in 1000 s; all times are mended" in told


def test_tables_state_the_clock_and_the_reference_of_charge(done):
    out, _, _ = done
    head = (out / "events_all.csv").read_text().split("half_cycle,")[0]
    assert "deviation of 30 s is common to all particles and not in sd_h" in head
    assert "Q_ref = 5.97 mAh (first half cycle)" in head
    assert (out / "onsets.csv").read_text().startswith("# Half cycle 1, charge 1.\n")


def draw_film(monkeypatch, folder, traces, recording, film, *more):
    """Puts empty files for the figures on a film into a folder, with circles that
    nothing could be measured in, as areas that were measured may have.
    """
    stubs = {
        "trace_tables.read_traces": traces,
        "cycler.read_cycler": types.SimpleNamespace(
            recording=lambda: recording, notes=()
        ),
        "frames.open_film": film,
    }
    for name, made_up in stubs.items():
        monkeypatch.setattr(f"fitting.optical.{name}", lambda *_, m=made_up, **__: m)
    monkeypatch.setattr(fitting.style, "save", lambda figure, path: path.touch())
    words = "onsets t.csv --cycler c.csv --clock-offset-s 600 --film f.tif"
    circles = folder.parent / f"{folder.name}.csv"  # of r = 2 px and on one another
    rows = [f"{label},8,8,2" for label in traces.labels]
    circles.write_text("\n".join(["particle,x_px,y_px,r_px", *rows]))
    given = [*words.split(), "--regions", str(circles), "--out", "o", *more]
    onset_files._draw_film(folder, onsets.find(cli.parser().parse_args(given)))


def test_figures_on_the_film_show_no_masked_frame(tmp_path, monkeypatch):
    """Every third frame is masked, as is the first of each half cycle."""
    traces, recording = made()
    masked = np.arange(TIMES.size) % 3 == 0
    intensity = np.where(masked, np.nan, traces.intensity)
    seen = []

    class Watched(StillFilm):
        def frame(self, k):
            seen.append(k)
            return super().frame(k)

    traces = dataclasses.replace(traces, intensity=intensity)
    draw_film(monkeypatch, tmp_path, traces, recording, Watched())
    assert {path.name for path in tmp_path.iterdir()} == {
        *("onset_map_1.png", "montage_1.png", "onset_map_2.png", "montage_2.png")
    }
    assert len(seen) == 22
    assert not masked[seen].any()


def test_particles_of_like_names_have_kymographs_of_their_own(tmp_path, monkeypatch):
    traces, recording = made()
    traces = dataclasses.replace(traces, labels=("a b", "a:b", "a_b"))
    more = ["--kymograph", *traces.labels]
    draw_film(monkeypatch, tmp_path, traces, recording, StillFilm(), *more)
    assert len(list(tmp_path.glob("kymograph_a_b*.png"))) == 3


def test_a_kymograph_of_an_unknown_particle_is_refused_before_onsets_are_found(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("fitting.optical.onsets.find_onsets", None)
    with pytest.raises(ValueError, match=r"--kymograph must name .* but has 'x'"):
        draw_film(monkeypatch, tmp_path, *made(), StillFilm(), "--kymograph", "p1", "x")


def test_the_offset_of_clocks_is_told_to_the_second():
    arguments = types.SimpleNamespace(traces=Path("t.csv"), cycler=Path("c.csv"))
    known = {"offset": 1234567.8, "offset_sd": 30.0, "drift": 0.0, "charge": None}
    found = types.SimpleNamespace(arguments=arguments, **known)
    assert "reads 1234567.8 s when" in onset_files._comments(found)[0]
