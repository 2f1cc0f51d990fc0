"""Made films of particles that react, with the truth beside them.

For tests, tutorials and planning: `write_film` takes the intensities of particles and
their circles, and writes what a camera would have seen through a microscope whose
stage moves, whose lamp flickers and whose focus slips. One frame is in memory at a
time, and one seed makes every byte.
"""

import contextlib
import csv
import dataclasses
import json
import math
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile

from .film_circles import Circles, write_circles
from .film_course import Course, course_of
from .film_plan import FilmPlan
from .film_rises import Intensities
from .film_scene import Scene, scene_of

_TIFF = (".tif", ".tiff")
_LARGEST_IMAGEJ = 2**32 - 2**20  # bytes


def film_scene(plan: FilmPlan, circles: Circles, intensities: Intensities) -> Scene:
    """A film that can be drawn frame by frame, in any order.

    Raises:
        ValueError: where circles, intensities and plan do not go together.
    """
    if circles.labels != intensities.labels:
        raise ValueError(
            "Circles and intensities must be of the same particles in one order, but "
            f"are of {', '.join(circles.labels)} and {', '.join(intensities.labels)}."
        )
    if intensities.values.shape[1] != plan.num_frames:
        raise ValueError(
            f"Intensities must have one column per planned frame, {plan.num_frames}, "
            f"but have {intensities.values.shape[1]}."
        )
    circles.check_inside(plan.shape)
    circles.check_apart()
    return scene_of(plan, circles, course_of(plan, circles, intensities))


def write_film(
    path: str | os.PathLike,
    plan: FilmPlan,
    circles: Circles,
    intensities: Intensities,
    *,
    with_interval: bool = True,
    on_frame: Callable[[int], None] | None = None,
) -> Course:
    """Writes a film, and beside it truth.json, circles.csv, frames.csv and truth.csv.

    A TIFF stack as ImageJ writes it where `path` ends with .tif; of more than 4 GB,
    which ImageJ's form cannot hold, a BigTIFF. Else a folder of PNG, one a frame.

    Args:
        path: file or folder to write; replaced where it exists.
        plan: settings of the film.
        circles: where particles lie in frame 0.
        intensities: of the same particles.
        with_interval: whether the stack tells the interval of its frames. It does not
            where frames are dropped, as one number could not tell the gap.
        on_frame: called after each frame with the number of those written.

    Returns:
        the truth of every frame.

    Raises:
        ValueError: where circles, intensities and plan do not go together, or the name
            is that of another kind of file.
        OSError: where the files cannot be written; then none is.
    """
    path = Path(path)
    _check_name(path)
    scene = film_scene(plan, circles, intensities)
    path.parent.mkdir(parents=True, exist_ok=True)
    interval = plan.interval if with_interval and not len(plan.dropped) else None
    write = _write_stack if path.suffix else _write_images
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}-") as part:
        write(Path(part) / path.name, scene, interval, on_frame or (lambda _: None))
        _write_truth(Path(part), scene, intensities)
        for written in sorted(Path(part).iterdir()):
            _replace(written, path.parent / written.name)
    return scene.course


def _check_name(path: Path) -> None:
    if path.suffix and path.suffix.lower() not in _TIFF:
        raise ValueError(
            f"A film must be written to a .tif file or a folder, but '{path.name}' "
            f"ends with {path.suffix}."
        )


def _replace(source: Path, target: Path) -> None:
    """Moves a file or folder; an earlier film's images in `target` are removed."""
    if target.is_dir():
        for image in target.glob("frame_*.png"):
            image.unlink()
        with contextlib.suppress(OSError):
            target.rmdir()
    source.replace(target)


def _frames(scene: Scene, on_frame) -> Iterator[np.ndarray]:
    for count, frame in enumerate(np.flatnonzero(scene.course.written)):
        yield scene.frame(int(frame))
        on_frame(count + 1)


def _write_stack(path: Path, scene: Scene, interval: float | None, on_frame) -> None:
    """A stack of which no more than a frame is in memory."""
    count, camera = int(scene.course.written.sum()), scene.plan.camera
    shape = (count, *scene.plan.shape)
    large = math.prod(shape) * camera.bits // 8 > _LARGEST_IMAGEJ
    told = {} if interval is None or large else {"finterval": interval, "unit": "px"}
    tifffile.imwrite(
        path,
        _frames(scene, on_frame),
        shape=shape,
        dtype=np.uint8 if camera.bits == 8 else np.uint16,
        photometric="minisblack",
        imagej=not large,
        bigtiff=large,
        metadata={"axes": "TYX"} | told,
    )


def _write_images(path: Path, scene: Scene, interval: float | None, on_frame) -> None:
    """A folder of PNG, whose numbers are those of the planned frames."""
    from PIL import Image

    del interval
    path.mkdir()
    numbers = np.flatnonzero(scene.course.written)
    for number, image in zip(numbers, _frames(scene, on_frame), strict=True):
        Image.fromarray(image).save(path / f"frame_{number:05d}.png")


def _write_truth(folder: Path, scene: Scene, intensities: Intensities) -> None:
    """The files beside a film; rows of tables are its written frames."""
    course, labels = scene.course, scene.circles.labels
    numbers = np.flatnonzero(course.written)
    write_circles(folder / "circles.csv", scene.circles)
    time = [repr(float(course.time[k])) for k in numbers]
    count = range(1, len(numbers) + 1)
    _write_table(
        folder / "frames.csv", ("frame", "time_s"), zip(count, time, strict=True)
    )
    values = np.round(intensities.values[:, numbers].T, 7).tolist()
    rows = ([k, t, *row] for k, t, row in zip(count, time, values, strict=True))
    _write_table(folder / "truth.csv", ("frame", "time_s", *labels), rows)
    text = json.dumps(truth(scene, intensities), indent=1, allow_nan=False)
    (folder / "truth.json").write_text(text + "\n", encoding="utf-8")


def _write_table(path: Path, header, rows) -> None:
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)


def truth(scene: Scene, intensities: Intensities) -> dict:
    """The truth as JSON: settings, particles, and lists over the written frames.

    Times in s on the film's clock, lengths in px, `noise` the standard deviation s of a
    particle's mean intensity in one frame, `shift` (down, right) of the specimen
    against frame 0.
    """
    course, circles, kept = scene.course, scene.circles, scene.course.written
    particles = []
    for k, label in enumerate(circles.labels):
        onset, midpoint, completion = map(_number, intensities.crossings[k])
        particles.append(
            {
                "particle": label,
                "x_px": float(circles.x[k]),
                "y_px": float(circles.y[k]),
                "r_px": float(circles.radius[k]),
                "shape": intensities.shapes[k],
                "amplitude": float(intensities.amplitude[k]),
                "noise": float(course.noise[k]),
                "t10_s": onset,
                "t50_s": midpoint,
                "t90_s": completion,
            }
        )
    settings = dataclasses.asdict(scene.plan)
    settings["camera"]["electrons"] = _number(scene.plan.camera.electrons)
    return {
        "format": "diffelec film truth",
        "version": 1,
        "plan": settings,
        "particles": particles,
        "frames": {
            "planned_frame": np.flatnonzero(kept).tolist(),
            "time_s": course.time[kept].tolist(),
            "shift_px": course.shift[kept].tolist(),
            "gain": course.gain[kept].tolist(),
            "blur_px": course.blur[kept].tolist(),
        },
    }


def _number(value: float) -> float | None:
    """A number of JSON, which knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else None
