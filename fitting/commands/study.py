"""What commands share: arguments, a simulation with its files and figures."""

import argparse
import contextlib
import platform
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

_VERSIONS = ("jax", "jaxlib", "diffrax", "equinox", "numpy")
SAVED = 301  # instants a protocol step: knees of voltage curves are drawn
_MILLIAMPERE_HOUR = 3.6  # C
_MOST = {  # of counts; more are a slip, or fit into no machine
    **{"cycles": 10_000, "saved": 1_000_000, "film_frames": 10_000},
    **{"max_steps": 1_000_000, "shells": 1000, "starts": 10_000, "draws": 10_000_000},
    **{"chains": 10_000, "warmup": 1_000_000, "pilot": 1_000_000, "walkers": 100_000},
}
_STEP_COLUMNS = (
    "step",
    "start_s",
    "end_s",
    "capacity_C",
    "capacity_mAh",
    "accepted_steps",
    "rejected_steps",
)


def add_folder(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The arguments that name the folder of results."""
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=required,
        help="folder for the results; new or empty"
        + ("" if required else " (without it, only the table is printed)"),
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the results of an earlier run in DIR",
    )


@contextlib.contextmanager
def result_folder(arguments):
    """A temporary folder whose files are put into `--out` when the block succeeds.

    Where that was filled meanwhile, they go into another one, which stderr tells and
    which `arguments.out` is from then on. In the end `arguments.written` is it.
    """
    from .. import folders

    def elsewhere(place: Path) -> None:
        print(
            f"diffelec: '{arguments.out}' was filled by another meanwhile, so the "
            f"results are in '{place}'",
            file=sys.stderr,
        )
        arguments.out = place

    with folders.result_folder(
        arguments.out, overwrite=arguments.overwrite, elsewhere=elsewhere
    ) as folder:
        yield folder
    arguments.written = arguments.out


def add_electrode(which) -> None:
    """The arguments that name an electrode, to a mutually exclusive group."""
    which.add_argument(
        "--preset",
        metavar="NAME",
        default="sharma2022",
        help="a named electrode: sharma2022 (default), single_particle",
    )
    which.add_argument(
        "--electrode", metavar="FILE", type=Path, help="an electrode as JSON"
    )


def check_most(arguments, *names: str) -> None:
    """Refuses counts that no run can hold."""
    for name in names:
        value, most = getattr(arguments, name), _MOST[name]
        if value is not None and value > most:
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option} must be {most} or less, but is {value}.")


def asked(arguments) -> dict:
    """The arguments of a command, as JSON."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in vars(arguments).items()
        if name not in ("run", "command", "overwrite", "no_cache")
    }


@contextlib.contextmanager
def counting_bar(name: str, total: int, unit: str = "frame"):
    """A bar over things on stderr where a person watches; gives what to call with the
    count.
    """
    import tqdm

    shown = {"desc": name, "unit": unit, "file": sys.stderr, "leave": False}
    with tqdm.tqdm(total=total, disable=not sys.stderr.isatty(), **shown) as bar:
        yield lambda count: bar.update(count - bar.n)


@contextlib.contextmanager
def resumable(arguments, store, kept: str, *, how: str = "with --resume"):
    """Says to who interrupts that what is `kept` of a run is in its store, and how the
    same command goes on; not where the results are there.
    """
    try:
        yield
    except KeyboardInterrupt as stopped:
        if str(stopped) or hasattr(arguments, "written") or not store.begun:
            raise  # says where the results are, or that there is nothing
        raise KeyboardInterrupt(
            f"interrupted; {kept} are in '{store.folder}': run the same command {how} "
            "to go on."
        ) from None


def remove(store) -> None:
    """Ends a run whose results are there, whole."""
    from .. import folders

    with folders.uninterrupted():
        store.remove()


def add_output(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The arguments that say where results of a simulation go, and what is drawn."""
    add_folder(parser, required=required)
    parser.add_argument(
        "--soc",
        metavar="SHARE",
        type=float,
        nargs="+",
        default=[0.02, 0.25, 0.5, 0.75, 0.98],
        help="shares (0 to 1) of the charge of a half cycle, in a discharge of what is "
        "left of it, at which the network is drawn",
    )


def check_output(arguments) -> None:
    """Refuses, before any computation, what could not be written or drawn."""
    from .. import folders

    for share in arguments.soc:
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"--soc must lie between 0 and 1, but holds {share:g}.")
    if arguments.out is not None:
        folders.check_folder(arguments.out, overwrite=arguments.overwrite)


def solve(electrode, protocol, settings: dict):
    """One simulation, with its progress on stderr."""
    import diffelec

    from .. import progress

    meter = progress.meter_for(electrode.num_particles, protocol.num_steps)
    if meter is not None:
        return diffelec.simulate(electrode, protocol, meter=meter, **settings)
    with progress.Waiting("compiling and solving"):
        solution = diffelec.simulate(electrode, protocol, **settings)
        solution.time.block_until_ready()
    return solution


def write(arguments, electrode, solution, settings: dict, also=None) -> None:
    """All files and figures, complete or not at all.

    `also` names folders inside that of the results, and what fills each.
    """
    from .. import files, progress, site_files

    cut = site_files.is_cut(solution.topology)
    with (
        result_folder(arguments) as folder,
        progress.Waiting("writing files and figures"),
    ):
        _write_netcdf(folder / "solution.nc", solution)
        _write_tables(folder, solution)
        if cut:
            site_files.write_site_tables(folder, electrode, solution)
        _write_figures(folder, electrode, solution, arguments.soc)
        names = sorted([path.name for path in folder.iterdir()] + [files.STUDY])
        inside = also or {}
        told = _study(electrode, solution, settings, [*names, *inside])
        files.write_json(folder / files.STUDY, told)
        for name, fill in inside.items():
            (folder / name).mkdir()
            fill(folder / name)
            names.append(f"{name}/")
    print(f"wrote {', '.join(names)} to {arguments.out}", file=sys.stderr)


def _study(electrode, solution, settings: dict, names: list[str]) -> dict:
    """The full study, from which it can be repeated."""
    import numpy as np

    from .. import files

    times = settings.get("times")
    numbers = {k: v for k, v in settings.items() if k != "times"}
    return {
        "format": "diffelec study",
        "version": 1,
        "date": date(),
        "electrode": files.electrode_to_dict(electrode),
        "protocol": list(solution.texts),
        "settings": numbers
        | {"times_s": None if times is None else np.asarray(times).tolist()},
        "result": solution.message(),
        "versions": versions(_VERSIONS),
        "files": names,
    }


def date() -> str:
    """Now, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions(names) -> dict[str, str]:
    """Versions of Python, this package, and packages by name."""
    found = {name: metadata.version(name) for name in names}
    try:
        found["diffelec"] = metadata.version("diffelec")
    except metadata.PackageNotFoundError:
        found["diffelec"] = "not installed"
    found["python"] = platform.python_version()
    return found


def _write_tables(folder: Path, solution) -> None:
    """timeseries.csv, steps.csv and onsets.csv."""
    import numpy as np

    from .. import files

    labels = solution.topology.particle_labels
    files.write_csv(
        folder / "timeseries.csv",
        ["time_s", "voltage_V", "current_A"]
        + [f"x_mean_{label}" for label in labels]
        + [f"x_surface_{label}" for label in labels],
        np.column_stack(
            [
                solution.time,
                solution.voltage,
                solution.current,
                solution.stoichiometry,
                solution.surface_stoichiometry,
            ]
        ),
    )
    charge = np.asarray(solution.step_capacities)
    files.write_csv(
        folder / "steps.csv",
        _STEP_COLUMNS,
        zip(
            solution.texts,
            np.asarray(solution.step_start_times),
            np.asarray(solution.step_end_times),
            charge,
            charge / _MILLIAMPERE_HOUR,
            *np.asarray(solution.num_steps).T.tolist(),
            strict=True,
        ),
    )
    _write_onsets(folder / "onsets.csv", solution)


def _write_onsets(path: Path, solution) -> None:
    """Onset, midpoint and completion of each particle in each half cycle."""
    from .. import files
    from ..results import HOUR, crossing_times

    labels = solution.topology.particle_labels
    levels, _ = crossing_times(solution)
    files.write_csv(
        path,
        ["half_cycle", "particle", "imaged", "onset_h", "midpoint_h", "completion_h"],
        [
            [half, label, int(solution.topology.imaged[k]), *(times[:, k] / HOUR)]
            for half, times in enumerate(levels, 1)
            for k, label in enumerate(labels)
        ],
    )


def _write_netcdf(path: Path, solution) -> None:
    """solution.nc; without h5netcdf, one sentence on stderr instead."""
    from .. import netcdf

    missing = netcdf.missing()
    if missing is not None:
        print(
            f"diffelec: solution.nc is left out, as {missing} is not installed; the "
            "CSV files hold the same time series.",
            file=sys.stderr,
        )
        return
    import numpy as np

    from .. import site_files

    topology = solution.topology
    variables, sites = _variables(solution), {}
    if site_files.is_cut(topology):
        variables |= site_files.site_variables(solution)
        sites = {"site": list(site_files.site_labels(topology))}
    held = netcdf.Group(
        {
            name: (dims, values, {"units": unit, "long_name": text})
            for name, (dims, values, unit, text) in variables.items()
        },
        {
            "time": (("time",), solution.time, {"units": "s"}),
            "particle": list(topology.particle_labels),
            "node": list(topology.node_labels),
            "step": list(solution.texts),
            "imaged": (("particle",), np.asarray(topology.imaged, np.int8), {}),
            **sites,
        },
    )
    about = {"title": "diffelec solution", "result": solution.message()}
    netcdf.write(path, {"": held}, about)


def _variables(solution) -> dict:
    """Name: (axes, values, unit, meaning) of what solution.nc holds."""
    particle = ("time", "particle")
    return {
        "voltage": (("time",), solution.voltage, "V", "cell voltage"),
        "current": (("time",), solution.current, "A", "current, positive on charge"),
        "stoichiometry": (particle, solution.stoichiometry, "1", "volume mean"),
        "surface_stoichiometry": (
            particle,
            solution.surface_stoichiometry,
            "1",
            "mean over the surface",
        ),
        "potential": (("time", "node"), solution.potentials, "V", "of each node"),
        "step_start_time": (("step",), solution.step_start_times, "s", "of each step"),
        "step_end_time": (("step",), solution.step_end_times, "s", "of each step"),
        "step_capacity": (("step",), solution.step_capacities, "C", "charge passed"),
    }


def _write_figures(folder: Path, electrode, solution, states) -> None:
    """Figures as PNG; those of the network and of sites need a half cycle to show."""
    from .. import figures, site_files, site_maps

    figures.save(figures.stoichiometry_figure(solution), folder / "stoichiometry.png")
    figures.save(figures.voltage_figure(solution), folder / "voltage.png")
    figures.save(figures.curves_figure(electrode), folder / "curves.png")
    if solution.num_half_cycles > 0:
        drawn = figures.network_figure(electrode, solution, tuple(states))
        figures.save(drawn, folder / "network.png")
        placed = solution.topology.positions is not None
        if placed and site_files.is_cut(solution.topology):
            drawn = site_maps.site_figure(electrode, solution, tuple(states))
            figures.save(drawn, folder / "site_maps.png")
