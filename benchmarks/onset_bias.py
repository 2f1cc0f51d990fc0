"""How far midpoints of made rises are off, and whether their deviations hold.

    python -m benchmarks.onset_bias [repetitions]

20 h of frames 2 min apart, white noise of A/20 and A/5, a drift of 15 % of A, a later
slow brightening of 0.5 A (even to the end of the film, or saturating within 4 h) and
rises of 4, 10 and 30 min. Five shapes are those that the estimator averages over; three
it does not know. Of every case: mean and rms error [min], coverage of the nominal 95 %
interval, and mean width of it over that of

    closed form       sd = (s / A) sqrt(6 tau dt), tau = duration / (2 ln 9)
    with frames       sd^2 = closed form^2 + dt^2 / 12

The closed form is the bound for white noise where all but the midpoint is known. The
second term belongs to an estimator that knows a rise only to the frame in which it
falls. Frames are points in time here, and a rise that spans two of them or more is
known better than that: the deviations stated are compared with the closed form *alone*.
Writes benchmarks/results/onset_bias.json.
"""

import math
import sys
import time

import numpy as np
from scipy.special import erf

from benchmarks.machine import write_result
from fitting.optical.shapes import ENDS, SHAPES
from fitting.optical.verdicts import Outcome, judge, look_at

SPAN, SPACING, MINUTE = 72000.0, 120.0, 60.0  # s
SIGNALS, DURATIONS = (20, 5), (4, 10, 30)  # A/s; min
DRIFT, BRIGHTENING, SATURATION = 0.15, 0.5, 4 * 3600.0  # of A; s
LN9 = math.log(9.0)
_GOMPERTZ = -np.log(-np.log([0.1, 0.5, 0.9]))
_SMOOTH = 0.6084  # of a smooth step of width 1, from 10 to 90 %


def gompertz(w):
    """Double exponential: sudden start, slower end."""
    low, middle, high = _GOMPERTZ
    return np.exp(-np.exp(-np.clip((high - low) * w + middle, -30, None)))


def diffuse(w):
    """The error function."""
    return 0.5 + 0.5 * erf(2 * 0.9061938 * w)


def smooth_step(w):
    """3 x^2 - 2 x^3."""
    x = np.clip(0.5 + _SMOOTH * w, 0, 1)
    return x * x * (3 - 2 * x)


UNKNOWN = (gompertz, diffuse, smooth_step)
ALL = {shape.__name__: shape for shape in (*SHAPES, *UNKNOWN)}
_COMPLETION = {s.__name__: end[1] for s, end in zip(SHAPES, ENDS, strict=True)}
_COMPLETION["gompertz"] = (_GOMPERTZ[2] - _GOMPERTZ[1]) / (_GOMPERTZ[2] - _GOMPERTZ[0])


def made_trace(generator, shape, duration, signal, *, saturating=False):
    """(times [s], trace, true midpoint [s]) of a rise of size 1."""
    times = np.arange(0.0, SPAN + 1.0, SPACING)
    middle = generator.uniform(0.2, 0.8) * SPAN
    over = middle + _COMPLETION.get(shape.__name__, 0.5) * duration
    later = np.maximum(times - over, 0.0)
    even = later / (SPAN - over)
    slow = -np.expm1(-later / SATURATION) if saturating else even
    trace = shape((times - middle) / duration) + DRIFT * times / SPAN
    trace += BRIGHTENING * slow + generator.standard_normal(times.size) / signal
    return times, trace, middle


def closed_form(duration: float, signal: float, spacing: float = SPACING) -> float:
    """Least standard deviation of a midpoint [s], all but it being known."""
    return math.sqrt(6 * duration / (2 * LN9) * spacing) / signal


def draws_of(name: str, minutes: int, signal: int, saturating: bool):
    """The generator of a case, which no other case shares."""
    return np.random.default_rng([minutes, signal, saturating, *name.encode()])


def case(name: str, minutes: int, signal: int, saturating: bool, count: int) -> dict:
    """Errors and intervals of one case."""
    generator = draws_of(name, minutes, signal, saturating)
    errors, deviations, outcomes, held = [], [], [], 0
    for _ in range(count):
        times, trace, middle = made_trace(
            generator, ALL[name], minutes * MINUTE, signal, saturating=saturating
        )
        found = judge(look_at("p", times, trace, None), 1.0, 0.0)
        outcomes.append(found.outcome)
        if not math.isfinite(found.midpoint):
            continue
        errors.append(found.midpoint - middle)
        deviations.append(found.midpoint_sd)
        held += found.outcome is Outcome.INTERVAL and (
            found.after < middle <= found.before
        )
    errors, deviations = np.array(errors) / MINUTE, np.array(deviations) / MINUTE
    least = closed_form(minutes * MINUTE, signal) / MINUTE
    frames = math.hypot(least, SPACING / MINUTE / math.sqrt(12))
    intervals = outcomes.count(Outcome.INTERVAL)
    return {
        "shape": name,
        "known": name not in [shape.__name__ for shape in UNKNOWN],
        "duration_min": minutes,
        "signal": signal,
        "brightening": "saturating" if saturating else "even",
        "bias_min": float(np.mean(errors)),
        "rms_min": float(np.sqrt(np.mean(errors**2))),
        "coverage": float(np.mean(np.abs(errors) < 1.96 * deviations)),
        "width_over_closed_form": float(np.mean(deviations) / least),
        "width_over_with_frames": float(np.mean(deviations) / frames),
        "missed": count - len(errors),
        "intervals": intervals,
        "intervals_that_hold": int(held),
    }


def summary(cases: list[dict]) -> dict:
    """Worst and mean figures of a group of cases."""

    def column(name):
        return np.array([one[name] for one in cases])

    return {
        "cases": len(cases),
        "largest_bias_min": float(np.max(np.abs(column("bias_min")))),
        "largest_rms_min": float(np.max(column("rms_min"))),
        "coverage": float(np.mean(column("coverage"))),
        "least_coverage": float(np.min(column("coverage"))),
        "width_over_closed_form": float(np.mean(column("width_over_closed_form"))),
        "width_over_with_frames": float(np.mean(column("width_over_with_frames"))),
        "missed": int(np.sum(column("missed"))),
        "intervals": int(np.sum(column("intervals"))),
        "intervals_that_hold": int(np.sum(column("intervals_that_hold"))),
    }


def main():
    """Measures, prints, writes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    start, cases = time.process_time(), []
    for saturating in (False, True):
        for signal in SIGNALS:
            for minutes in DURATIONS:
                for name in ALL:
                    cases.append(case(name, minutes, signal, saturating, count))
                    print(
                        " ".join(
                            f"{v:.3g}" if isinstance(v, float) else str(v)
                            for v in cases[-1].values()
                        ),
                        flush=True,
                    )
    groups = {}
    for kind in ("even", "saturating"):
        for signal in SIGNALS:
            part = [
                c for c in cases if (c["brightening"], c["signal"]) == (kind, signal)
            ]
            groups[f"{kind}, A/s = {signal}"] = summary(part)
        part = [c for c in cases if c["brightening"] == kind]
        groups[f"{kind}, all"] = summary(part)
        groups[f"{kind}, shapes not known"] = summary(
            [c for c in part if not c["known"]]
        )
    for name, group in groups.items():
        print(name, group)
    seconds = time.process_time() - start
    figures = {"repetitions": count, "groups": groups, "cases": cases}
    figures["cpu_seconds"] = seconds
    figures["cpu_seconds_per_trace"] = seconds / (count * len(cases))
    write_result("onset_bias", figures)


if __name__ == "__main__":
    main()
