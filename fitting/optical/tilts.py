r"""Light that leans to one side more in some frames than in others.

Of ground that does not react, brightness over its own typical one is a plane,

$$ \rho(y, x) = g\,[1 + s_y (y - \bar y) + s_x (x - \bar x)] $$
g being the lamp's brightness. Where its slopes s change by more than chance, as where a
lamp moves, or a stage in light that falls off to a side, what lies off the middle would
brighten or darken with them.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

_SURE = 3.0  # deviations by chance
_LEAST = 0.01  # of the light, over what the ground covers
_FAR = 4.0  # robust deviations, beyond which a pixel counts no more
_NORMAL = 1.4826  # standard deviation over median deviation, of a normal distribution


@dataclasses.dataclass(frozen=True)
class Tilt:
    """Slopes of the light downwards and to the right [1/px] of one frame, or of all.

    `chance` is their standard deviation by the noise of pixels.
    """

    slope: Float[np.ndarray, "*frame 2"]
    chance: Float[np.ndarray, "*frame 2"]


def tilt_of(ratio: Float[np.ndarray, " pixel"], pixels: Int[np.ndarray, "2 pixel"]):
    """The tilt of one frame.

    Args:
        ratio: brightness of each pixel over its typical one.
        pixels: their rows and columns.
    """
    if not ratio.size or not np.median(ratio) > 0:
        return Tilt(np.zeros(2), np.zeros(2))
    away = pixels - pixels.mean(axis=1, keepdims=True)
    rest = ratio / np.median(ratio) - 1.0
    reach = _FAR * _NORMAL * float(np.median(np.abs(rest)))
    rest = np.clip(rest, -reach, reach)
    normal = np.linalg.pinv(away @ away.T)
    slope = normal @ (away @ (rest - rest.mean()))
    left = rest - rest.mean() - slope @ away
    return Tilt(slope, left.std() * np.sqrt(np.diag(normal)))


def gains_of(
    tilts: Tilt,
    pixels: Int[np.ndarray, "2 pixel"],
    places: Float[np.ndarray, "particle 2"],
    kept: Bool[np.ndarray, " frame"],
) -> tuple[Float[np.ndarray, "particle frame"], float]:
    """(light at places over that in the middle, against the first frame that is kept;
    its largest change over the ground). 1 and 0 where chance may tilt it as much.

    Args:
        tilts: of all frames.
        pixels: rows and columns of the ground.
        places: y and x of particles [px].
        kept: frames that count.
    """
    none = np.ones((len(places), len(kept))), 0.0
    if pixels.shape[1] == 0 or kept.sum() < 2:
        return none
    reach = np.ptp(pixels, axis=1)
    change = tilts.slope - tilts.slope[np.argmax(kept)]
    scatter = change[kept].std(axis=0)
    chance = np.median(tilts.chance[kept], axis=0)
    if not np.any((scatter > _SURE * chance) & (scatter * reach > _LEAST)):
        return none
    away = places - pixels.mean(axis=1)
    most = float(np.max(np.abs(change[kept] @ reach)))
    return np.clip(1.0 + away @ change.T, 0.2, 5.0), most
