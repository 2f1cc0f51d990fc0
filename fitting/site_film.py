"""Films of the lithium at the surface of particles that are cut into sites."""

import tempfile
from pathlib import Path

import matplotlib
import numpy as np

from .figures import at_instant
from .site_maps import SiteMap, draw_map, draw_scale
from .style import blank, styled, time_unit

ENDINGS = (".gif", ".tif", ".tiff")
_FRAME_MS = 100
_DPI = 120


def check_film(path: Path) -> None:
    """Raises ValueError for a name that is none of a film, or whose folder is not."""
    if path.suffix.lower() not in ENDINGS:
        raise ValueError(
            f"--film-sites must name a file that ends with {', '.join(ENDINGS)}, but "
            f"is '{path}'."
        )
    if not path.parent.is_dir():
        raise ValueError(
            f"--film-sites must name a file in a folder that exists, but is '{path}'."
        )


def write_site_film(path: Path, electrode, solution, num_frames: int) -> None:
    """A film in colour, evenly spaced in time over the solution: a GIF that repeats, or
    a TIFF stack; whole or not at all.
    """
    frames = site_frames(electrode, solution, num_frames)
    with tempfile.TemporaryDirectory(prefix=".film-", dir=path.parent) as folder:
        partial = Path(folder) / path.name
        _write(partial, frames)
        partial.replace(path)


def _write(path: Path, frames) -> None:
    if path.suffix.lower() == ".gif":
        from PIL import Image

        images = [Image.fromarray(frame) for frame in frames]
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=_FRAME_MS,
            loop=0,
        )
    else:
        import tifffile

        tifffile.imwrite(path, frames, photometric="rgb")


@styled
def site_frames(electrode, solution, num_frames: int) -> np.ndarray:
    """Pictures (frame, row, column, 3) of the map of sites, 8 bits a colour; of the
    instants within the run, if others were asked for as well.
    """
    time, voltage = np.asarray(solution.time), np.asarray(solution.voltage)
    known = np.isfinite(time) & np.isfinite(voltage)
    if not known.any():
        raise ValueError(
            "A film of sites needs an instant within the run, but none was saved; "
            "correct the instants."
        )
    time, voltage = time[known], voltage[known, None]
    x = np.asarray(solution.site_surface_stoichiometry)[known]
    norm = matplotlib.colors.Normalize(np.min(x), np.max(x))
    seen = SiteMap.of(electrode)
    left, right, bottom, top = seen.extent
    aspect = (top - bottom) / (right - left)
    tall = float(np.clip(70 * aspect, 30, 110))
    figure = blank(max(tall / aspect, 25) + 30, tall + 15)
    axes = figure.add_subplot()
    image = draw_map(axes, seen, x[0], norm)
    draw_scale(axes, seen)
    figure.colorbar(image, label="surface stoichiometry x (–)", shrink=0.8)
    figure.set_dpi(_DPI)
    seconds, unit = time_unit(time[-1] - time[0])
    axes.set_title(f"0.0 {unit}, 0.00 V")
    figure.canvas.draw()
    figure.set_layout_engine("none")  # all frames alike
    frames = []
    for instant in np.linspace(time[0], time[-1], num_frames):
        image.set_data(seen.picture(at_instant(time, x, instant)))
        volt = at_instant(time, voltage, instant)[0]
        axes.set_title(f"{instant / seconds:.1f} {unit}, {volt:.2f} V")
        figure.canvas.draw()
        frames.append(np.asarray(figure.canvas.buffer_rgba())[..., :3].copy())
    return np.stack(frames)
