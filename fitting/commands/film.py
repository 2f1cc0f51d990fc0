"""`diffelec film`: a made film of a cell, to learn and to test the optical side on."""

import argparse
import shlex
import sys
from pathlib import Path

from . import study

_PROTOCOL = (
    "Charge at C/20 until 4.3 V",
    "Hold at 4.3 V until C/50",
    "Discharge at C/20 until 2.5 V",
)
_HOUR, _MICRO = 3600.0, 1e-6
_SAVED = 1001  # instants a protocol step: about a minute apart at C/20
_MADE_UP_HOURS = 20.0
_VERSIONS = ("numpy", "scipy", "tifffile", "roifile")
_YEAR = 365.25 * 24.0  # h, and no film is longer
_MOST_FRAMES = 1_000_000
_MOST = {
    "interval_s": _YEAR * _HOUR,
    "hours": _YEAR,
    "delay_s": _YEAR * _HOUR,
    "size": 8192,
    "frames": _MOST_FRAMES,
    "rises": 10_000,
}
_NUMBERS = (
    # option, type, default, meaning
    ("--interval-s", float, 120.0, "between frames, in s"),
    ("--hours", float, None, "of the film (default: to the protocol's end; 20)"),
    ("--frames", int, None, "number of frames, instead of --hours"),
    ("--size", int, 256, "height and width of frames, in px"),
    ("--um-per-px", float, 0.5, "size of a pixel in the specimen"),
    ("--bits", int, 8, "of a pixel: 8 or 16"),
    ("--snr", float, 20.0, "rise of a particle's mean intensity over its noise"),
    ("--delay-s", float, 0.0, "by how much the camera starts after the cycler"),
    ("--seed", int, 0, "of all that is random"),
)


def add_parser(subparsers) -> argparse.ArgumentParser:
    """Adds `film` and its arguments."""
    parser = subparsers.add_parser(
        "film",
        help="make a film of particles, with its cycler file and the truth",
        description="Makes a film of an electrode's imaged particles as a microscope "
        "would see them, with drift, a stage jump, flicker, defocus and noise. Writes "
        "film.tif, particles.zip (ImageJ regions), circles.csv, cycler.csv, frames.csv "
        "and the truth (truth.json, truth.csv) to the folder --out.",
    )
    _add_specimen(parser)
    _add_film(parser)
    study.add_folder(parser, required=True)
    return parser


def _add_specimen(parser: argparse.ArgumentParser) -> None:
    """What is seen."""
    which = parser.add_mutually_exclusive_group()
    study.add_electrode(which)
    which.add_argument(
        "--rises",
        metavar="N",
        type=int,
        help="no electrode, but N particles with made-up rises, one of them silent",
    )
    parser.add_argument(
        "--protocol",
        metavar="STEP",
        nargs="+",
        default=list(_PROTOCOL),
        help="steps, each in quotes (default: charge at C/20, hold, discharge)",
    )


def _add_film(parser: argparse.ArgumentParser) -> None:
    """How it is seen, and written."""
    for name, kind, default, text in _NUMBERS:
        shown = "" if default is None else f" (default {default:g})"
        parser.add_argument(
            name, metavar="NUMBER", type=kind, default=default, help=text + shown
        )
    parser.add_argument(
        "--perfect",
        action="store_true",
        help="no drift, jump, flicker, defocus, and no noise but that of --snr",
    )
    parser.add_argument(
        "--png", action="store_true", help="a folder of images instead of a stack"
    )
    parser.add_argument(
        "--no-interval",
        action="store_true",
        help="leave the interval out of the stack: times must then be given",
    )


def run(arguments) -> None:
    """Simulates, draws, writes, says what to do next."""
    import numpy as np

    from .. import files, folders

    check(arguments)
    folders.check_folder(arguments.out, overwrite=arguments.overwrite)
    made_up = arguments.rises is not None
    cycler, radius, values = (_made_up if made_up else _simulated)(arguments)
    count = _count(arguments, float(cycler[0][-1]) - arguments.delay_s)
    plan = _plan(arguments, count)
    intensities = _seen(values, plan.time, arguments.delay_s)
    circles = _place(arguments, radius, intensities.labels)
    name = "film" if arguments.png else "film.tif"
    with study.result_folder(arguments) as folder:
        _write(folder / name, plan, circles, intensities, arguments)
        files.write_csv(
            folder / "cycler.csv",
            ("time_s", "voltage_V", "current_A"),
            np.column_stack(cycler),
        )
        names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
        files.write_json(folder / files.STUDY, _study(arguments, names))
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)
    print(_next(arguments, name, plan, intensities))


def _seen(values, time, delay: float):
    """Intensities by their instants on the cell's clock, told on that of the film."""
    import dataclasses

    found = values(time + delay)
    return dataclasses.replace(found, crossings=found.crossings - delay)


def check(arguments) -> None:
    """Refuses, before any computation, what cannot be."""
    least = {"interval_s": 0.0, "hours": 0.0, "um_per_px": 0.0, "snr": 0.0}
    for name, bound in least.items():
        value = getattr(arguments, name)
        if value is not None and not value > bound:
            raise ValueError(
                f"--{name.replace('_', '-')} must be above {bound:g}, but is {value:g}."
            )
    for name in ("delay_s", "seed"):
        value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if not value >= 0:
            raise ValueError(f"{option} must be 0 or more, but is {value:g}.")
    _check_extent(arguments)
    if arguments.rises is not None and arguments.protocol != list(_PROTOCOL):
        raise ValueError(
            "--protocol must not be given with --rises, which are made up and know "
            "none; leave one of them out."
        )
    if arguments.png and arguments.no_interval:
        raise ValueError(
            "--no-interval must not be given with --png, as images tell none anyway; "
            "leave it out."
        )
    if arguments.frames is not None and arguments.hours is not None:
        raise ValueError("Either --hours or --frames must be given, not both.")
    for name in ("rises", "frames"):
        value = getattr(arguments, name)
        if value is not None and value < 2:
            raise ValueError(f"--{name} must be 2 or more, but is {value}.")


def _check_extent(arguments) -> None:
    """Refuses what is too long, too large or too small to be a film."""
    from ..optical.film_plan import LEAST_SIDE

    if arguments.size < LEAST_SIDE:
        raise ValueError(
            f"--size must be {LEAST_SIDE} or more, but is {arguments.size}."
        )
    for name, most in _MOST.items():
        value, option = getattr(arguments, name), f"--{name.replace('_', '-')}"
        if value is not None and value > most:
            raise ValueError(f"{option} must be {most:g} or less, but is {value:g}.")
    count, hours, interval = arguments.frames, arguments.hours, arguments.interval_s
    if count is None and hours is not None and _HOUR * hours / interval > _MOST_FRAMES:
        raise ValueError(
            f"A film must have {_MOST_FRAMES} frames or fewer, but {hours:g} h of "
            f"{interval:g} s have {_HOUR * hours / interval:.3g}."
        )
    if count is not None and count * interval > _YEAR * _HOUR:
        raise ValueError(
            f"A film must last a year or less, but {count} frames of {interval:g} s "
            f"last {count * interval / 86400:.4g} days."
        )


def _simulated(arguments):
    """((time, voltage, current), radii [m], intensities at instants) of a cell."""
    import numpy as np

    import diffelec

    from .. import files
    from ..optical import film_rises
    from .simulate import preset

    protocol = diffelec.Protocol.from_strings(arguments.protocol)
    if arguments.electrode is not None:
        electrode = files.read_electrode(arguments.electrode)
    else:
        electrode = preset(arguments.preset)
    solution = study.solve(electrode, protocol, {"num_saved": _SAVED, "rtol": 1e-4})
    columns = (solution.time, solution.voltage, solution.current)
    cycler = [np.asarray(column) for column in columns]
    end = float(solution.half_cycle_span(0)[1]) if solution.num_half_cycles else np.inf
    if solution.num_half_cycles and float(solution.half_cycle_capacity(0)) < 0:
        raise ValueError(
            "The first half cycle of a film must be a charge, in which particles rise, "
            f"but '{arguments.protocol[0]}' discharges; begin with a charge."
        )
    if not arguments.delay_s < end:
        raise ValueError(
            f"--delay-s must be less than {end:.0f}, as the charge ends then and no "
            f"particle would be seen to rise, but is {arguments.delay_s:g}."
        )
    imaged = np.asarray(solution.topology.imaged)

    def values(time):
        return film_rises.intensities_of_solution(solution, time, end=end)

    return cycler, np.asarray(electrode.radius)[imaged], values


def _made_up(arguments):
    """The same of made-up rises, while a constant current charges the cell."""
    import dataclasses

    import numpy as np

    from ..optical import film_rises

    count, span = arguments.rises, _HOUR * (arguments.hours or _MADE_UP_HOURS)
    if arguments.frames is not None:
        span = arguments.interval_s * (arguments.frames - 1)
    rises = film_rises.rises_at_random(count, span, seed=arguments.seed)
    rises[-1] = dataclasses.replace(rises[-1], amplitude=0.0)
    time = np.arange(0.0, span + arguments.delay_s + 60.0, 60.0)
    share = time / time[-1]
    voltage = 3.65 + 0.5 * share + 0.1 * share**4 - 0.05 * np.exp(-share / 0.02)
    rng = np.random.default_rng([arguments.seed, 6])
    radius = rng.uniform(3.0, 5.0, count) * _MICRO
    cycler = [time, voltage, np.full(len(time), 1e-4)]
    return cycler, radius, lambda at: film_rises.Intensities.of_rises(rises, at)


def _count(arguments, span: float) -> int:
    """Number of frames, of which the last is not after the end of the cell."""
    if arguments.frames is not None:
        return arguments.frames
    if arguments.hours is not None:
        span = _HOUR * arguments.hours
    return int(span / arguments.interval_s + 1e-9) + 1


def _plan(arguments, count: int):
    """The film's settings; what goes wrong, goes wrong at shares of its length."""
    from ..optical.film_plan import Camera, FilmPlan, Lamp, Scenery, Stage

    basis = {
        "shape": (arguments.size, arguments.size),
        "num_frames": count,
        "interval": arguments.interval_s,
        "snr": arguments.snr,
        "seed": arguments.seed,
        "scenery": Scenery(),
    }
    if arguments.perfect:
        return FilmPlan(**basis, camera=Camera(bits=arguments.bits))
    blurred = [int(share * count) for share in (0.2, 0.45, 0.8)]
    return FilmPlan(
        **basis,
        stage=Stage((4.0, -3.0), 0.02, (-5.0, 5.0), int(0.55 * count)),
        lamp=Lamp(flicker=0.1, white=0.003, warm_up=0.05),
        camera=Camera(
            bits=arguments.bits, read_noise=0.01, electrons=2e4, vignette=0.05
        ),
        defocus=tuple((frame, 2.5) for frame in sorted(set(blurred))),
    )


def _place(arguments, radius, labels):
    """Circles of the particles' radii [m] at random places in the frame."""
    from ..optical.film_circles import particles_at_random

    return particles_at_random(
        len(labels),
        (arguments.size, arguments.size),
        radius / (_MICRO * arguments.um_per_px),
        seed=arguments.seed,
        labels=labels,
    )


def _write(path: Path, plan, circles, intensities, arguments) -> None:
    """The film, its truth and its regions, with a bar on stderr."""
    from ..optical.film import write_film
    from ..optical.film_circles import write_rois

    with study.counting_bar("drawing", plan.num_frames) as shown:
        write_film(
            *(path, plan, circles, intensities),
            with_interval=not arguments.no_interval,
            on_frame=shown,
        )
    write_rois(path.parent / "particles.zip", circles)


def _study(arguments, names: list[str]) -> dict:
    """What was asked for, from which the film can be made again."""
    made_up = arguments.rises is not None
    own = {"preset": None, "protocol": None} if made_up else {}  # no electrode's
    return {
        "format": "diffelec film",
        "version": 1,
        "date": study.date(),
        "arguments": study.asked(arguments) | own,
        "versions": study.versions(_VERSIONS),
        "files": names,
    }


def _next(arguments, name: str, plan, intensities) -> str:
    """What was made, and the commands that lead on from it."""
    from ..wording import counted

    out, delay = arguments.out, arguments.delay_s
    interval = f" --interval-s {plan.interval}" if _needs_interval(arguments) else ""
    clock = f" --clock-offset-s {delay}" if delay else ""
    film, regions, cycler, circles, traces, quality, table, onsets = (
        shlex.quote(str(out / part))
        for part in (
            *(name, "particles.zip", "cycler.csv"),
            *("circles.csv", "traces", "traces/quality.csv", "traces/traces.csv"),
            "onsets",
        )
    )
    return (
        f"{plan.num_frames} frames of {plan.shape[0]} x {plan.shape[1]} px, "
        f"{plan.interval:g} s apart, of "
        f"{counted(len(intensities.labels), 'particle')}.\n"
        "Next:\n"
        f"  diffelec traces {film} --regions {regions}{interval} --out {traces}\n"
        f"  diffelec onsets {table} --cycler {cycler}{clock} --film {film} "
        f"--regions {circles} --quality {quality} --out {onsets}"
    )


def _needs_interval(arguments) -> bool:
    """Whether the film does not tell the time of its frames."""
    return arguments.no_interval or arguments.png
