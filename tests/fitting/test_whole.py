"""From times to whole traces: what is fitted then, and that it finds the truth."""

import dataclasses
from types import SimpleNamespace
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import cli, fit_files, optimise, review, setup, summary, whole
from fitting.commands import job
from fitting.events import Event, Events
from fitting.fit_figures import brightness_figure
from fitting.intensities import binned
from fitting.recording import Recording
from fitting.report import Brightness

from .made_up import made_up_report

HOUR = 3600.0
HOURS = np.array([1.0, 1.2, 2.0, 6.0, 9.0])
VOLTAGE = np.array([3.2, 3.8, 3.95, 4.05, 4.3])
CHOICES = setup.Choices(free=(), num_shells=5, rtol=1e-5)
FRAMES = HOUR * np.linspace(1.5, 9.0, 46)


def prepared():
    """Two particles with times, one that was never seen to react."""
    rows = [
        Event("p", "midpoint", time=3.4 * HOUR, sd=600.0),
        Event("q", "midpoint", after=4.5 * HOUR, before=5.0 * HOUR),
        Event("never", "midpoint", after=9.0 * HOUR, before=np.inf),
        Event("p", "duration", time=0.9 * HOUR, sd=600.0),
    ]
    recording = Recording(HOUR * HOURS, VOLTAGE)
    return setup.by_voltage(Events.from_rows(rows), recording, CHOICES)


def seen_of(intensity, labels=("q", "other", "p")):
    return binned(FRAMES, labels, intensity)


def blank(labels=("q", "other", "p")):
    return seen_of(np.linspace(0.0, 1.0, 46) * np.ones((len(labels), 1)), labels)


def test_traces_of_no_particle_are_noted(tmp_path, capsys):
    path = tmp_path / "traces.csv"
    table = ["frame,time_s,p,Q,never"]
    table += [f"{k},{3600 * k},{0.1 * k},{0.2 * k},0.5" for k in range(1, 9)]
    path.write_text("\n".join(table))
    arguments = SimpleNamespace(intensities=path)
    given = (arguments, CHOICES, prepared(), (HOUR, 9 * HOUR), 0.0)
    assert job._whole(*given, quiet=False).seen.labels == ("p",)
    assert (
        "note: traces.csv: Particle 'Q' not among the events" in capsys.readouterr().err
    )
    job._whole(*given, quiet=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("whole_traces", [False, True])
def test_a_protocol_drives_tables_of_times_and_of_traces(tmp_path, whole_traces):
    onsets, traces = tmp_path / "onsets.csv", tmp_path / "traces.csv"
    onsets.write_text("particle,event,time_h,sd_h\np,midpoint,3,0.2\n")
    rows = [f"{k},{3600 * k},{0.1 * k}" for k in range(1, 9)]
    traces.write_text("\n".join(["frame,time_s,p", *rows]))
    words = ["fit", "--onsets", str(onsets), "--protocol", "Charge at C/20 until 4.3 V"]
    words += ["--intensities", str(traces)] * whole_traces
    arguments = cli.parser().parse_args([*words, "--shells", "5", "--out", "out"])
    found = job.prepare(arguments).setup
    assert found.drive == "protocol"
    assert (found.seen is not None) == whole_traces
    assert found.fitted.tolist() == [not whole_traces]


def test_traces_take_the_place_of_times_and_leave_bounds():
    before = prepared()
    after = whole.with_intensities(before, blank(), 0.05)
    assert after.seen.labels == ("p", "q")
    np.testing.assert_array_equal(after.fitted, [False, False, True, False])
    assert after.times is before.problem
    forward = after.problem.forward
    assert (forward.particle, forward.followed) == ((2,), (0, 1))
    assert after.problem.noise.exact.tolist() == [False]
    assert np.sum(after.problem.counts > 0) == 2 * 46
    assert after.forward is before.forward


def test_times_of_other_half_cycles_stay_beside_the_traces_of_one():
    hours, current = np.array([1.0, 9.0, 9.1, 17.0]), 1e-3 * np.array([1, 1, -1, -1])
    recording = Recording(HOUR * hours, np.array([3.3, 4.3, 4.2, 3.4]), current)
    rows = [
        Event("p", "midpoint", time=3 * HOUR, sd=600.0, half_cycle=0),
        Event("p", "midpoint", time=12 * HOUR, sd=600.0),
        Event("p", "duration", time=HOUR, sd=600.0, half_cycle=1),
    ]
    before = setup.by_voltage(Events.from_rows(rows), recording, CHOICES, 1)
    after = whole.with_intensities(before, blank(("p",)), 0.05)
    assert after.fitted.tolist() == [True, False, False]
    assert after.problem.forward.half_cycles == (0,)
    without = dataclasses.replace(before, recording=None)  # traces of the whole run
    assert not whole.with_intensities(without, blank(("p",)), 0.05).fitted.any()


def test_traces_of_other_particles_are_refused():
    with pytest.raises(ValueError, match=r"such as p, q, but are of never, r"):
        whole.with_intensities(prepared(), blank(("never", "r")), 0.05)


@eqx.filter_jit
def looked_at(problem, raw):
    """Half the squared rows, the log density, and the prediction at raw numbers."""
    half = 0.5 * jnp.sum(problem.residual(raw) ** 2)
    rows, predicted = problem.log_densities(raw)
    return half, jnp.sum(rows) + problem.space.log_prior(raw), predicted


def midpoints(predicted):
    """When each particle has given off a quarter [h]."""
    fallen = np.asarray(predicted.course[0] - predicted.course)
    hours = np.asarray(predicted.instants) / HOUR
    return [np.interp(0.25, column, hours) for column in fallen.T]


@pytest.fixture(scope="module")
def found():
    """What a fit to made traces starts from, what it ends at, and the truth."""
    before = prepared()
    blind = whole.with_intensities(before, blank(), 0.05)
    size = before.problem.space.size
    truth = np.random.default_rng(2).normal(0.0, 0.5, size)
    at = looked_at(blind.problem, jnp.asarray(truth))[2]
    course = np.stack([np.interp(FRAMES, at.instants, c) for c in at.course.T])
    rng = np.random.default_rng(3)
    light = 50.0 - 20.0 * course[[1, 0, 0]] + 0.1 * rng.standard_normal((3, 46))
    after = whole.with_intensities(before, seen_of(light), 0.02)
    search = optimise.LevenbergMarquardt()
    fit = optimise.fit(after.problem, np.zeros((1, size)), search, max_steps=25)
    raws = (np.zeros(size), fit.raw, truth)
    seen = [looked_at(after.problem, jnp.asarray(raw)) for raw in raws]
    return seen, review.brightness_of(after, fit, 0.0)


def test_a_fit_of_traces_finds_the_times_that_made_them(found):
    start, end, truth = (midpoints(predicted) for _, _, predicted in found[0])
    assert np.max(np.abs(np.subtract(start, truth))) > 0.3
    np.testing.assert_allclose(end, truth, atol=0.03)


def test_rows_and_density_of_a_problem_agree_with_traces(found):
    sums = [float(half + density) for half, density, _ in found[0]]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-9)
    assert float(found[0][0][0] - found[0][1][0]) > 10.0


def test_the_traces_of_the_fit_lie_on_those_that_were_measured(found):
    _, brightness = found
    assert brightness.labels == ("p", "q")
    np.testing.assert_allclose(brightness.time, FRAMES, atol=1e-6)
    # The noise is 1 % of a range, the search stops within a few.
    assert np.all(brightness.rms < 0.03)
    assert np.all(np.ptp(brightness.fitted, axis=1) > 0.9)


class Ended(NamedTuple):
    """What a search says, as far as the next one asks."""

    raw: np.ndarray


def ended(offset, evaluations, failed):
    blank = dict.fromkeys(f.name for f in dataclasses.fields(optimise.Fit))
    return optimise.Fit(
        **blank
        | {
            "optima": (Ended(np.full(5, offset)), Ended(np.full(5, 2 * offset))),
            "num_evaluations": evaluations,
            "num_failed": failed,
            "result": optimise.FIT_RESULTS.converged,
        }
    )


def test_the_search_begins_where_that_of_the_times_ended(monkeypatch):
    before = prepared()
    after = whole.with_intensities(before, blank(), 0.05)
    asked = []

    def fit(problem, starts, *_, **__):
        asked.append((problem, starts))
        return ended(0.5, 7, 2) if len(asked) == 1 else ended(3.0, 10, 1)

    monkeypatch.setattr(optimise, "fit", fit)
    arguments = SimpleNamespace(starts=3, seed=0, max_steps=4)
    found = job.search(job.Job(arguments, None, after, "made"))
    assert asked[0][0] is before.problem
    assert asked[1][0] is after.problem
    np.testing.assert_array_equal(asked[1][1], [[0.5] * 5, [1.0] * 5])
    # Solves of both searches count, those that failed among them.
    assert (found.num_evaluations, found.num_failed) == (17, 3)


def test_files_of_a_fit_hold_the_traces_that_were_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_files, "_FIGURES", {})
    report = made_up_report()._replace(brightness=made_brightness())
    fit_files.write_report(tmp_path, report)
    rows = (tmp_path / "brightness.csv").read_text().splitlines()
    assert rows[0] == "particle,time_h,measured,fitted"
    assert len(rows) == 1 + 29 + 30  # one bin of p was not seen
    last = [float(cell) for cell in rows[-1].split(",")[1:]]
    made = made_brightness()
    assert last == pytest.approx([10.0, made.measured[1, -1], made.fitted[1, -1]])
    assert (tmp_path / "brightness.png").stat().st_size > 10_000


def made_brightness():
    time = HOUR * np.linspace(0.0, 10.0, 30)
    fitted = 1.0 / (1.0 + np.exp(-(time / HOUR - np.array([[3.0], [6.0]]))))
    measured = fitted + np.array([[0.05], [0.08]]) * np.sin(time)
    measured[0, 3] = np.nan
    return Brightness(("p", "q"), time, measured, fitted, np.array([20.0, 31.0]))


def test_the_figure_of_one_trace_has_room_for_what_its_axis_says():
    made = made_brightness()
    one = made._replace(
        labels=made.labels[:1], measured=made.measured[:1], fitted=made.fitted[:1]
    )
    figure = brightness_figure(one)
    figure.canvas.draw()
    words = figure.axes[0].yaxis.label.get_window_extent()
    assert 0 < words.y0 < words.y1 < figure.bbox.height


def test_the_report_says_how_well_traces_are_met():
    report = made_up_report()._replace(brightness=made_brightness(), num_rows=59)
    p, q = summary.summary(report)["whole_traces"]
    assert (p["particle"], p["bins"], q["bins"]) == ("p", 29, 30)
    off = made_brightness().rms
    assert q["rms_difference_of_range"] == pytest.approx(off[1])
    told = f"of q, is {100 * off[1]:.1f} % of its range"
    assert told in summary.text(report)
    assert "of 59 rows of data" in summary.text(report)
    assert summary.summary(made_up_report())["whole_traces"] is None


def test_the_figure_shows_dots_and_lines_of_every_particle():
    axes = brightness_figure(made_brightness()).axes[0]
    assert len(axes.lines) == 4
    assert [t.get_text() for t in axes.get_yticklabels()] == ["p", "q"]
    top, bottom = axes.lines[1].get_ydata(), axes.lines[3].get_ydata()
    np.testing.assert_allclose(
        top - bottom, np.subtract(*made_brightness().fitted) + 1.3
    )
