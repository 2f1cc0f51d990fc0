"""Do midpoints found in made films agree with those put in, as closely as claimed?

    python -m benchmarks.films [--films 8] [--seed 0] [--snr 20 5]

Each film lasts 20 h at 2 min a frame: 256 px, 12 particles whose rises last 4 to 30 min
(10 to 90 %) and are logistic, exponential, straight or that of a diffusing sphere in
turn, with later brightening and drift; a stage that drifts, wanders and jumps by 7 px,
a lamp that warms up and flickers by 10 %, uneven light, three frames out of focus, 16
bit. SNR is the rise A of a particle's mean intensity over the noise s of that mean.

The same analysis is made of the planned intensities with their noise, which no film
has come between: what is worse in the films is due to frames, registration,
illumination or regions, the rest to the estimator. Widths are beside the closed form
sd(t50) = (s/A) sqrt(6 tau dt) of a logistic of scale tau in white noise, and beside
that with the spacing of frames, dt^2/12, added. Writes benchmarks/results/films.json.
"""

import argparse
import itertools
import json
import math
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.machine import write_result
from fitting.optical import frames, measure, onsets, region_files, registration
from fitting.optical import traces as optical_traces
from fitting.optical.film import write_film
from fitting.optical.film_circles import particles_at_random
from fitting.optical.film_course import Course
from fitting.optical.film_plan import Camera, FilmPlan, Lamp, Stage
from fitting.optical.film_rises import Intensities, rises_at_random

HOURS, INTERVAL, SIZE, NUM_PARTICLES = 20.0, 120.0, 256, 12
NORMAL_95 = 1.959964
BARS = {20.0: (60.0, 120.0), 5.0: (120.0, 240.0)}  # bias and rms [s]
REGISTRATION_BAR, COVERAGE_BAR, WIDTH_BAR = 0.05, 0.93, 1.5


class Found(NamedTuple):
    """One particle of one film; times in s, NaN where nothing exact was found."""

    shape: str
    duration: float
    truth: float
    outcome: str
    error: float
    sd: float
    covered: bool
    closed_form: float


class Instrument(NamedTuple):
    """How well a film's motion and light were found, over its sharp frames."""

    registration_px: float  # rms of both directions
    gain: float  # rms of the ratio to the truth
    masked: int  # frames
    masked_wrongly: int  # of those in focus
    noise_ratio: float  # of the traces' noise to that put in, median over particles
    seconds: float


def make(folder: Path, snr: float, seed: int):
    """A film; its plan, intensities and truth."""
    count = round(HOURS * 3600 / INTERVAL)
    rng = np.random.default_rng([seed, 7])
    plan = FilmPlan(
        (SIZE, SIZE),
        count,
        INTERVAL,
        stage=Stage((3.0, -4.0), 0.02, (5.0, -5.0), int(rng.integers(200, 400))),
        lamp=Lamp(flicker=0.1, white=0.003, warm_up=0.05),
        camera=Camera(read_noise=0.01, electrons=2e4, vignette=0.05),
        snr=snr,
        defocus=tuple((int(k), 2.5) for k in rng.choice(count, 3, replace=False)),
        seed=seed,
    )
    rises = rises_at_random(NUM_PARTICLES, plan.time[-1], seed=seed)
    order = rng.permutation(NUM_PARTICLES)
    intensities = Intensities.of_rises([rises[k] for k in order], plan.time)
    radii = rng.uniform(7.0, 12.0, NUM_PARTICLES)
    circles = particles_at_random(NUM_PARTICLES, plan.shape, radii, seed=seed)
    course = write_film(folder / "film.tif", plan, circles, intensities)
    return plan, intensities, course


def compare(judged, particles: list[dict], interval: float) -> list[Found]:
    """What was found beside the truth of each particle."""
    found = []
    for onset, true in zip(judged, particles, strict=True):
        assert onset.particle == true["particle"]
        middle, sd = onset.midpoint, onset.midpoint_sd
        duration = true["t90_s"] - true["t10_s"]
        tau = duration / (2 * math.log(9))
        exact = math.isfinite(middle) and str(onset.outcome) == "exact"
        error = middle - true["t50_s"] if exact else math.nan
        covered = abs(error) <= NORMAL_95 * sd
        if str(onset.outcome) == "interval":
            covered = onset.after < true["t50_s"] <= onset.before
        ratio = true["noise"] / true["amplitude"]
        found.append(
            Found(
                true["shape"],
                duration,
                true["t50_s"],
                str(onset.outcome),
                error,
                sd if exact else math.nan,
                bool(covered),
                ratio * math.sqrt(6 * tau * interval),
            )
        )
    return found


def analyse(folder: Path, course: Course, planned: Intensities):
    """(what was found, how well the instrument was seen through) of a film."""
    began = time.perf_counter()
    film = frames.open_film(folder / "film.tif")
    regions = region_files.read_regions(folder / "circles.csv", film.shape)
    shifts = registration.register(film, away=regions.around)
    traces, quality = measure.measure(film, regions, shifts=shifts)
    found = onsets.find_onsets(traces)[0].onsets
    seconds = time.perf_counter() - began
    focused = course.blur == 0
    sharp = focused & quality.kept
    shift = np.column_stack([shifts.dy, shifts.dx]) - course.shift
    light = quality.gain[sharp] / course.gain[sharp]
    instrument = Instrument(
        float(np.sqrt(np.mean(shift[focused] ** 2))),
        float(np.std(light / np.median(light))),
        int(np.sum(~quality.kept)),
        int(np.sum(~quality.kept & focused)),
        noise_ratio(traces.intensity[:, sharp], planned.values[:, sharp], course.noise),
        seconds,
    )
    return found, instrument


def noise_ratio(traces, planned, noise) -> float:
    """Deviation of traces from those planned over that put in, median over particles.

    Each trace is first scaled as a whole, which no time depends on.
    """
    scale = np.nanmedian(traces / planned, axis=1)[:, None]
    return float(np.median(np.nanstd(traces / scale - planned, axis=1) / noise))


def one_film(snr: float, seed: int):
    """(found in the film, found in the planned intensities, instrument)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        plan, intensities, course = make(folder, snr, seed)
        particles = json.loads((folder / "truth.json").read_text())["particles"]
        seen, instrument = analyse(folder, course, intensities)
    ideal = optical_traces.Traces(plan.time, intensities.labels, course.intensity)
    bare = onsets.find_onsets(ideal)[0].onsets
    pair = [compare(one, particles, plan.interval) for one in (seen, bare)]
    return *pair, instrument


def summary(found: list[Found]) -> dict:
    """Bias, rms, coverage and widths; times in s."""
    error = np.array([f.error for f in found])
    seen = np.isfinite(error)
    sd = np.array([f.sd for f in found])[seen]
    closed = np.array([f.closed_form for f in found])[seen]
    with_frames = np.hypot(closed, INTERVAL / math.sqrt(12))
    judged = [f.covered for f in found if f.outcome in ("exact", "interval")]
    outcomes = [f.outcome for f in found]
    return {
        "particles": len(found),
        "outcomes": {o: outcomes.count(o) for o in sorted(set(outcomes))},
        "bias_s": float(error[seen].mean()),
        "rms_s": float(np.sqrt(np.mean(error[seen] ** 2))),
        "coverage": float(np.mean(judged)),
        "mean_sd_s": float(sd.mean()),
        "width_over_closed_form": float(np.mean(sd / closed)),
        "mean_width_over_mean_closed_form": float(sd.mean() / closed.mean()),
        "width_over_closed_form_with_frames": float(np.mean(sd / with_frames)),
        "rms_over_closed_form": float(
            np.sqrt(np.mean(error[seen] ** 2) / np.mean(closed**2))
        ),
    }


def parts(found: list[Found]) -> dict:
    """Summaries by shape and by third of the durations."""
    shapes = sorted({f.shape for f in found})
    edges = np.geomspace(4.0, 30.0, 4)  # min
    by_duration = {}
    for low, high in itertools.pairwise(edges):
        inside = [f for f in found if low <= f.duration / 60 < high + 1e-6]
        by_duration[f"{low:.0f} to {high:.0f} min"] = inside
    return {
        "all": summary(found),
        "by_shape": {s: summary([f for f in found if f.shape == s]) for s in shapes},
        "by_duration": {k: summary(v) for k, v in by_duration.items() if v},
    }


def verdict(snr: float, whole: dict, instruments: list[Instrument]) -> dict:
    """Whether each bar is met."""
    bias, rms = BARS.get(snr, (math.inf, math.inf))
    worst = max(one.registration_px for one in instruments)
    return {
        "registration": worst <= REGISTRATION_BAR,
        "bias": abs(whole["bias_s"]) < bias,
        "rms": whole["rms_s"] < rms,
        "coverage": whole["coverage"] >= COVERAGE_BAR,
        "width": whole["width_over_closed_form"] <= WIDTH_BAR,
    }


def show(name: str, rows: dict) -> None:
    """A table on stdout."""
    table = {"all": rows["all"], **rows["by_shape"], **rows["by_duration"]}
    print(f"\n{name}\n{'':14s}    n  bias s   rms s  covered  sd/closed  sd/with dt")
    for label, row in table.items():
        print(
            f"{label:14s} {row['particles']:4d} {row['bias_s']:7.1f} "
            f"{row['rms_s']:7.1f} {row['coverage']:8.3f} "
            f"{row['width_over_closed_form']:10.2f} "
            f"{row['width_over_closed_form_with_frames']:11.2f}"
        )
    print(f"outcomes: {rows['all']['outcomes']}", flush=True)


def main():
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--snr", type=float, nargs="+", default=list(BARS))
    arguments = parser.parse_args()
    figures = {}
    for snr in arguments.snr:
        films, bare, instruments = [], [], []
        for k in range(arguments.films):
            one, ideal, instrument = one_film(snr, arguments.seed + k)
            films += one
            bare += ideal
            instruments.append(instrument)
            print(f"SNR {snr:g}, film {k + 1}: {instrument}", flush=True)
        rows, without = parts(films), parts(bare)
        show(f"SNR {snr:g}, from films", rows)
        show(f"SNR {snr:g}, from the planned intensities", without)
        met = verdict(snr, rows["all"], instruments)
        print(f"bars met: {met}")
        figures[f"snr {snr:g}"] = {
            "met": met,
            "instrument": {
                name: [getattr(one, name) for one in instruments]
                for name in Instrument._fields
            },
            "from_films": rows,
            "from_planned_intensities": without,
            "particles": [f._asdict() for f in films],
        }
    write_result("films", {"films": arguments.films, **figures})


if __name__ == "__main__":
    main()
