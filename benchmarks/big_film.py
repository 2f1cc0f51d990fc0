"""How long do the traces of a large film take, and how much memory?

    python -m benchmarks.big_film [--frames 2400] [--size 1024] [--folder DIR]

Writes a film of 1024 x 1024 px, 16 bit, 2,400 frames (5 GB) with 60 particles, timed
apart, and makes traces of it in a process of its own, whose greatest memory is the
system's account of it (mapped pages of the film included). The bars are 3 min and 1 GB.
Writes benchmarks/results/big_film.json.
"""

import argparse
import json
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path

from benchmarks.machine import write_result

INTERVAL, NUM_PARTICLES = 120.0, 60
SECONDS_BAR, BYTES_BAR = 180.0, 1e9


def write(folder: Path, num_frames: int, size: int) -> None:
    """The film, its circles and its truth."""
    from fitting.optical.film import write_film
    from fitting.optical.film_circles import particles_at_random
    from fitting.optical.film_plan import Camera, FilmPlan, Lamp, Stage
    from fitting.optical.film_rises import Intensities, rises_at_random

    plan = FilmPlan(
        (size, size),
        num_frames,
        INTERVAL,
        stage=Stage((6.0, -8.0), 0.02, (5.0, -5.0), num_frames // 3),
        lamp=Lamp(flicker=0.1, white=0.003, warm_up=0.05),
        camera=Camera(read_noise=0.01, electrons=2e4, vignette=0.05),
        snr=20.0,
        defocus=((num_frames // 2, 2.5),),
    )
    radius = 0.02 * size
    circles = particles_at_random(NUM_PARTICLES, plan.shape, radius, seed=0)
    rises = rises_at_random(NUM_PARTICLES, plan.time[-1], seed=0)
    intensities = Intensities.of_rises(rises, plan.time)
    write_film(folder / "film.tif", plan, circles, intensities)


def traces(folder: Path) -> None:
    """Opens, registers, measures; notes wall time and greatest memory."""
    began = time.perf_counter()
    import numpy as np

    from fitting.optical import frames, measure, region_files, registration

    film = frames.open_film(folder / "film.tif", times=folder / "frames.csv")
    regions = region_files.read_regions(folder / "circles.csv", film.shape)
    opened = time.perf_counter()
    shifts = registration.register(film, away=regions.around)
    registered = time.perf_counter()
    found, _ = measure.measure(film, regions, shifts=shifts)
    ended = time.perf_counter()
    truth = np.array(
        json.loads((folder / "truth.json").read_text())["frames"]["shift_px"]
    )
    error = np.column_stack([shifts.dy, shifts.dx]) - truth
    usage = resource.getrusage(resource.RUSAGE_SELF)
    numbers = {
        "open_s": opened - began,
        "register_s": registered - opened,
        "measure_s": ended - registered,
        "seconds": ended - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_bytes": usage.ru_maxrss * 1024,
        "valid_share": float(found.valid.mean()),
        "registration_rms_px": float(np.sqrt(np.mean(error**2))),
    }
    (folder / "numbers.json").write_text(json.dumps(numbers))


def apart(task, *arguments) -> float:
    """Runs a function in a fresh process; its wall time [s]."""
    began = time.perf_counter()
    process = multiprocessing.get_context("spawn").Process(target=task, args=arguments)
    process.start()
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"{task.__name__} ended with status {process.exitcode}.")
    return time.perf_counter() - began


def main():
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2400)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--folder", type=Path, help="that has room for the film")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        writing = apart(write, folder, arguments.frames, arguments.size)
        size = os.path.getsize(folder / "film.tif")
        print(f"film: {size / 1e9:.2f} GB in {writing:.0f} s", flush=True)
        apart(traces, folder)
        numbers = json.loads((folder / "numbers.json").read_text())
    print(
        f"traces: {numbers['seconds']:.0f} s (opening {numbers['open_s']:.0f}, "
        f"registration {numbers['register_s']:.0f}, measuring "
        f"{numbers['measure_s']:.0f}; {numbers['cpu_s']:.0f} s of processors), "
        f"{numbers['peak_bytes'] / 1e9:.2f} GB at most; "
        f"bars {SECONDS_BAR:.0f} s and {BYTES_BAR / 1e9:.0f} GB"
    )
    met = {
        "seconds": numbers["seconds"] <= SECONDS_BAR,
        "memory": numbers["peak_bytes"] <= BYTES_BAR,
    }
    print(f"bars met: {met}")
    plan = {"frames": arguments.frames, "size_px": arguments.size, "bytes": size}
    write_result(
        "big_film", {**plan, "writing_s": writing, "traces": numbers, "met": met}
    )


if __name__ == "__main__":
    main()
