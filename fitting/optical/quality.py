"""How good frames and particles were: what was measured beside the intensities."""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from .. import wording

REASONS = {
    "gaps": "more than 1 % of its pixels hold no finite number",
    "lost": "could not be registered",
    "dark": "too dark or too bright",
    "blurred": "out of focus",
    "artefact": "focus and brightness jumped together",
    "repeated": "the same image as the frame before",
}
SATURATED = 0.005  # of a particle's pixels
_JUMP = 0.2  # of the lamp's brightness, from one frame to the next


@dataclasses.dataclass(frozen=True)
class Quality:
    """Of every frame, and of every particle in every frame.

    Attributes:
        dy: shift downwards [px].
        dx: shift to the right [px].
        correlation: of the registration.
        gain: brightness of the ground against that in the first good frame.
        focus: score of sharpness, larger is sharper; NaN without ground.
        flags: for every reason, the frames that it masks.
        num_pixels: of a particle inside the field.
        sd: over a particle's pixels, corrected as its intensity.
        num_saturated: of a particle's pixels.
    """

    dy: Float[np.ndarray, " frame"]
    dx: Float[np.ndarray, " frame"]
    correlation: Float[np.ndarray, " frame"]
    gain: Float[np.ndarray, " frame"]
    focus: Float[np.ndarray, " frame"]
    flags: dict[str, Bool[np.ndarray, " frame"]]
    num_pixels: Int[np.ndarray, "particle frame"]
    sd: Float[np.ndarray, "particle frame"]
    num_saturated: Int[np.ndarray, "particle frame"]

    @property
    def kept(self) -> Bool[np.ndarray, " frame"]:
        """Frames that no reason masks."""
        return ~np.any(list(self.flags.values()), axis=0)

    def reasons(self, k: int) -> str:
        """Why a frame is masked; empty where it is not."""
        return "; ".join(name for name, found in self.flags.items() if found[k])


def quality_notes(quality: Quality, labels, jumped, search, cut) -> tuple[str, ...]:
    """One sentence on each thing that a user should look at.

    Args:
        quality: of frames and particles.
        labels: of the particles.
        jumped: frames at which the stage did.
        search: largest shift that was looked for [px].
        cut: (particle,) whether pixels count in which it is saturated.
    """
    notes = [
        f"{_counted(np.flatnonzero(found))} masked: {REASONS[name]}."
        for name, found in quality.flags.items()
        if np.any(found)
    ]
    if np.any(quality.flags["lost"] & ~quality.flags["dark"]):
        notes.append(
            "Frames that could not be registered may be shifted by more than the "
            f"{search:.4g} px that were searched; if the stage moved further, search "
            "further (--search-px), up to a third of the frame."
        )
    if np.any(jumped):
        notes.append(
            f"The stage jumped at {_listed(np.flatnonzero(jumped))}; the shift was "
            "followed."
        )
    kept = np.flatnonzero(quality.kept)
    step = np.diff(np.log(quality.gain[kept]))
    usual = 5 * np.median(np.abs(step)) if step.size else 0.0
    wide = np.flatnonzero(np.abs(step) > max(_JUMP, usual))
    if wide.size:
        most = step[wide[np.argmax(np.abs(step[wide]))]]
        notes.append(
            f"The light jumped by {np.expm1(most):+.0%} at "
            f"{_listed(kept[wide + 1])}, as by automatic exposure; it was corrected."
        )
    share = quality.num_saturated / np.maximum(quality.num_pixels, 1)
    full = (share > SATURATED) & cut[:, None] & quality.kept
    names = [label for label, row in zip(labels, full, strict=True) if np.any(row)]
    if names:
        are, their = wording.verb(names, "is its", "are their").split()
        notes.append(
            f"{wording.particles(names)} {are} saturated in more than 0.5 % of {their} "
            f"pixels in {_counted(np.flatnonzero(full.any(axis=0)))}; the bright end "
            "is cut."
        )
    return tuple(notes)


def _listed(frames) -> str:
    """`frame 3` or `frames 3, 7 and 12 others`."""
    numbers = [str(k + 1) for k in frames[:5]]
    if len(frames) > 5:
        return f"frames {', '.join(numbers)} and {len(frames) - 5} others"
    return f"frame{'s' * (len(frames) > 1)} {', '.join(numbers)}"


def _counted(frames) -> str:
    """`1 frame (3)` or `8 frames (3, 4, 5, 6, 7 and 3 others)`."""
    inner = _listed(frames).partition(" ")[2]
    return f"{len(frames)} frame{'s' * (len(frames) > 1)} ({inner})"
