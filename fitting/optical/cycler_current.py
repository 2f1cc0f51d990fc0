"""A cycler's current: its unit, its sign, and whether it agrees with charge and mass.

Positive charges the cell.
"""

import math
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from ..columns import CURRENT
from ..recording import flows

_LARGEST = 2000.0  # A, of any cell there is
_LEAST_CHANGE = 2e-3  # V, by which a step tells the sign of its current
_DOUBTFUL, _LEAST_DOUBTFUL = 0.5, 0.1  # of the range of voltage; V
_MOST_CHARGE = 6000.0  # mAh/g, of any electrode there is (lithium: 3860)
_AGREES_WITHIN = 0.2  # of the charge in the file
_RESTART = 10.0  # usual currents that the fall of a charge to 0 takes to be a restart
_FACTORS = {3600.0: "s and h", 1000.0: "mA and A (or ms and s)", 60.0: "s and min"}
_CHARGES = re.compile(r"(^c$|ch(a?r)?g|charg|laden|ladung)", re.IGNORECASE)
# A lone d must not end a word ("Hold Charge"), but may follow its mode ("CCDChg").
_DISCHARGES = re.compile(
    r"^d$|dis[\s_-]*ch|entlad|"
    r"((?<![a-z])(c[cvpr])*d|(?-i:(?<=[a-z])D))[\s_-]*ch",
    re.IGNORECASE,
)


def state_signs(states: Sequence[str]) -> Int[np.ndarray, " row"]:
    """+1, -1 or 0 for rows in which the instrument says that it charges, ..."""
    known: dict[str, int] = {}
    for state in states:
        if state not in known:
            down, up = _DISCHARGES.search(state), _CHARGES.search(state)
            both = "discharge" in state.lower() and "/" in state
            known[state] = 0 if both else -1 if down else 1 if up else 0
    return np.array([known[state] for state in states], int)


def signed(
    file: str,
    lines: Sequence[int],
    time: Float[np.ndarray, " row"],
    current: Float[np.ndarray, " row"],
    voltage: Float[np.ndarray, " row"],
    step: np.ndarray | None,
    signs: Int[np.ndarray, " row"] | None,
    *,
    unsigned: bool,
) -> tuple[Float[np.ndarray, " row"], tuple[str, ...]]:
    """The current, positive where it charges, and notes.

    Args:
        file: name, for messages.
        lines: of the rows.
        time: of the rows [s].
        current: as it is written.
        voltage: of the cell [V].
        step: what tells one step from the next, if known.
        signs: what the instrument says that it does in each row, if it does.
        unsigned: whether this instrument writes the size of the current only.
    """
    if np.any(current < 0) or not np.any(current > 0):
        return _agreeing(file, time, current, signs)
    flowing = flows(time, current)
    if signs is not None and np.any(signs != 0):
        unknown = np.flatnonzero((signs == 0) & flowing)
        share = unknown.size / max(flowing.sum(), 1)
        if share < 0.02:
            if not np.any(signs < 0):
                return current, ()
            note = f"{file}: the current has no sign; that of the states was given it."
            return np.where(signs < 0, -current, current), (note,)
    if not unsigned:
        return current, _doubt(file, flowing, voltage)
    found = _signs_of_voltage(file, lines, flowing, voltage, step)
    note = (
        f"{file}: the current has no sign; it was taken as charging where the voltage "
        "rises in a step, discharging where it falls."
    )
    return current * found, (note,)


def _doubt(file: str, flowing, voltage) -> tuple[str, ...]:
    """A note where the voltage rises and falls under a current of one sign."""
    change = np.diff(voltage)[flowing[1:] & flowing[:-1]]
    path = np.cumsum(np.append(0.0, change))
    rise = float(np.max(path - np.minimum.accumulate(path)))
    fall = float(np.max(np.maximum.accumulate(path) - path))
    if min(rise, fall) < max(_DOUBTFUL * float(np.ptp(voltage)), _LEAST_DOUBTFUL):
        return ()
    return (
        f"{file}: the current is never negative, yet while it flows the voltage rises "
        f"by {rise:.2g} V and falls by {fall:.2g} V; if it has no sign, export the "
        "state of the steps too.",
    )


def _agreeing(file: str, time, current, signs):
    """A signed current, turned where the states say the opposite throughout."""
    if signs is None:
        return current, ()
    flowing = flows(time, current) & (signs != 0)
    if flowing.sum() < 3 or np.mean(np.sign(current[flowing]) != signs[flowing]) < 0.9:
        return current, ()
    note = (
        f"{file}: the current is positive where the states say discharge; its sign was "
        "changed."
    )
    return -current, (note,)


def _signs_of_voltage(file: str, lines, flowing, voltage, step):
    """+-1 of each row by the change of voltage in its step."""
    change = np.diff(flowing.astype(int)) != 0
    if step is not None:
        change |= np.diff(np.nan_to_num(step)) != 0
    starts = [0, *(np.flatnonzero(change) + 1)]
    found, before = np.ones(len(flowing)), 0.0
    for start, end in zip(starts, [*starts[1:], len(flowing)], strict=True):
        if not flowing[start]:
            before = 0.0
            continue
        rise = voltage[end - 1] - voltage[max(start - 1, 0)]
        if abs(rise) > _LEAST_CHANGE:
            before = np.sign(rise)
        if before == 0.0:
            raise ValueError(
                f"{file}, lines {lines[start]} to {lines[end - 1]}, must show whether "
                "its current charges, but has no sign, no state, and a voltage that "
                f"changes by {1e3 * rise:.2g} mV; export the state of the steps."
            )
        found[start:end] = before
    return found


def unit_factor(file: str, label: str, unit: str | None) -> float:
    """A per unit of a column that names none.

    Raises:
        ValueError: where the unit is not given or not known.
    """
    if unit is None:
        raise ValueError(
            f"{file}, column {label}, must name its unit, but does not, and this "
            "instrument writes A or mA as it was set up; give current_unit as 'A' or "
            "'mA'."
        )
    small = unit.strip().lower().replace("\u03bc", "\u00b5")
    if small not in CURRENT:
        raise ValueError(
            "The unit of the current must be one of A, mA, uA, nA, pA, but is "
            f"'{unit}'."
        )
    return CURRENT[small]


def mass_factor(file: str, label: str, mass: float | None) -> float:
    """The mass [kg] that makes a current of one per mass."""
    if mass is None:
        raise ValueError(
            f"{file}, column {label}, is a current per mass; give the mass of active "
            "material, or a column such as current_mA."
        )
    if not 0 < mass < math.inf:
        raise ValueError(f"The mass must be positive, but is {mass:g} kg.")
    return mass


def check_size(file: str, label: str, lines, current) -> None:
    """Raises ValueError for currents that no cell takes."""
    k = int(np.argmax(np.abs(current)))
    if abs(current[k]) > _LARGEST:
        raise ValueError(
            f"{file}, line {lines[k]}, column {label}, must be at most {_LARGEST:g} A, "
            f"but is {current[k]:g} A; check its unit."
        )


def check_charge(file: str, time, current, charge, label: str) -> None:
    """Raises ValueError where current and time do not add up to the charge [C]."""
    step, moved = np.diff(time), np.abs(np.diff(charge))
    passed = np.abs(0.5 * (current[1:] + current[:-1])) * step
    steady = np.abs(np.diff(current)) < 0.05 * np.abs(current[1:])
    used = steady & (passed > 0) & (moved > 0)
    if used.sum() < 10:
        return
    ratio = float(np.median(passed[used] / moved[used]))
    for factor, units in _FACTORS.items():
        for wrong in (factor, 1 / factor):
            if abs(ratio / wrong - 1) < _AGREES_WITHIN:
                raise ValueError(
                    f"{file} must pass the charge that its column {label} counts, but "
                    f"current and time make {ratio:.3g} times as much; check the units "
                    f"({units}) of current, time and charge."
                )


def restarts(charge, current) -> Int[np.ndarray, " restart"]:
    """Rows at which a counter of charge starts anew, rather than a current flows."""
    sizes = np.abs(current[np.isfinite(current) & (current != 0)])
    if not sizes.size:
        return np.empty(0, int)
    left = np.abs(charge) < np.abs(np.roll(charge, 1)) / _RESTART
    return np.flatnonzero(left & (np.abs(current) > _RESTART * np.median(sizes)))


def largest_charge(time, current) -> float:
    """Charge [C] of the largest run of one sign of current."""
    sign = np.where(flows(time, current), np.sign(current), 0.0)
    known = np.flatnonzero(sign)
    if not known.size:
        return 0.0
    runs = np.concatenate([[0], np.cumsum(np.diff(sign[known]) != 0)])
    run = np.interp(np.arange(len(time)), known, runs).astype(int)
    passed = 0.5 * (current[1:] + current[:-1]) * np.diff(time)
    return float(np.max(np.abs(np.bincount(run[1:], weights=passed))))


def check_mass(file: str, time, current, mass: float) -> None:
    """Raises ValueError where one half cycle passes more than any electrode holds."""
    specific = largest_charge(time, current) / 3.6 / (1e3 * mass)
    if specific > _MOST_CHARGE:
        raise ValueError(
            f"{file} must pass at most {_MOST_CHARGE:g} mAh per g in a half cycle, but "
            f"passes {specific:.3g} for {1e6 * mass:.3g} mg; check the unit of the "
            "current, and the mass."
        )
