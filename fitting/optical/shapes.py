"""Shapes that a rise may have, as functions of (t - midpoint) / duration.

Each goes from 0 to 1, is 0.5 at 0 and takes from 10 to 90 % the time 1. To add one,
write a function and name it in `SHAPES`. What an imaged particle does is not known
beforehand: its surface may approach an end (diffusion), run away from a start (a
conductivity that rises) or move evenly, and a front may cross it.
"""

import numpy as np
from jaxtyping import Float
from scipy.special import expit

LN9 = float(np.log(9.0))
_LN2 = float(np.log(2.0))
_RATE = 2 * LN9  # of a logistic whose 10 to 90 % take 1
_EVEN = 0.8  # slope of a ramp whose 10 to 90 % take 1
# theta at which a sphere is at 10, 50 and 90 %; below `_SHORT` its short form holds.
_SPHERE = (0.000921585800336022, 0.030546524298044348, 0.18298536878343158)
_SHORT = 0.1
_DISC = tuple(1 - np.sqrt(1 - np.array((0.1, 0.5, 0.9))))  # u at 10, 50 and 90 %


def logistic(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Slow at both ends."""
    return expit(_RATE * w)


def approach(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Sudden, then exponentially slower."""
    return -np.expm1(-np.maximum(LN9 * w + _LN2, 0.0))


def sphere(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    r"""Mean of a sphere whose surface was set to its end value at an instant.

    $$ 6 \sqrt{\theta/\pi} - 3\theta, \quad 1 - \frac{6}{\pi^2} \sum_n \frac{1}{n^2}
    e^{-n^2\pi^2\theta} $$
    before and after $\theta = Dt/a^2 = 0.1$; 1e-5 off at most with two terms.

    Source: Crank, *The Mathematics of Diffusion*, 2nd ed. (1975), section 6.3.1.
    """
    early, middle, late = _SPHERE
    theta = np.maximum(middle + (late - early) * w, 0.0)
    wave = np.exp(-(np.pi**2) * np.maximum(theta, _SHORT))
    series = 1.0 - 6.0 / np.pi**2 * (wave + 0.25 * wave**4)
    short = np.minimum(theta, _SHORT)
    short = 6.0 * np.sqrt(short / np.pi) - 3.0 * short
    return np.where(theta < _SHORT, short, series)


def departure(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Exponentially faster, then a sudden end."""
    return np.exp(-np.maximum(_LN2 - LN9 * w, 0.0))


def ramp(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Even."""
    return np.clip(_EVEN * w + 0.5, 0.0, 1.0)


def inwards(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Share of a disc behind an even front from its rim inwards: 1 - (1 - u)^2."""
    early, middle, late = _DISC
    return 1.0 - (1.0 - np.clip(middle + (late - early) * w, 0.0, 1.0)) ** 2


def outwards(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The same from its middle outwards: u^2."""
    return 1.0 - inwards(-w)


def hinge(w: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """0 before the midpoint, then w: smooth, as the integral of the logistic."""
    return np.logaddexp(0.0, _RATE * w) / _RATE


SHAPES = (logistic, approach, sphere, departure, ramp, inwards, outwards)

# (t10 - t50, t90 - t50) of each shape, in durations.
ENDS = np.array(
    [
        (-0.5, 0.5),
        (np.log(10 / 9) / LN9 - _LN2 / LN9, np.log(10) / LN9 - _LN2 / LN9),
        tuple((t - _SPHERE[1]) / (_SPHERE[2] - _SPHERE[0]) for t in _SPHERE[::2]),
        (_LN2 / LN9 - np.log(10) / LN9, _LN2 / LN9 - np.log(10 / 9) / LN9),
        (-0.5, 0.5),
        tuple((t - _DISC[1]) / (_DISC[2] - _DISC[0]) for t in _DISC[::2]),
        tuple((_DISC[1] - t) / (_DISC[2] - _DISC[0]) for t in _DISC[::-2]),
    ]
)
