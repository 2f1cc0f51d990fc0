"""A cracked particle: how narrow is what joins its pieces if they react hours apart?

    python -m benchmarks.cracks

In Fig. 2 of Sharma 2022 a particle reacts 3.3 h into the charge, the smaller section of
a cracked neighbour 3.2 h later; larger sections tend to react before smaller ones, and
a section becomes even within 14 min (the first) and 2 min (the second). Here one
particle of R = 5 um and 16 patches is cracked into 69 and 31 % (11 and 5 patches).
Carbon touches the larger fragment alone, evenly; one disc contact, the bridge, joins
the smaller one. Beside it stands the electrode of Fig. 4a (15 particles, each as large
as the cracked one), so that the voltage is that of an asynchronous first charge:
C/20 of all 16 to 4.3 V.

Fits, with kappa at the mean and at the surface x of each site: the bridge's radius that
delays the smaller fragment by 3.2 h where the larger one is carbon coated, and the
radii of carbon's contact and of the bridge with onsets at 3.3 and 6.5 h. Newton's steps
in the logarithms of the radii, by the exact derivatives of the onsets through
`simulate`. Onset: a change of 0.066 of the fragment's mean x; `surface`: when its
surface has made 10 % of its own change. Transit: from the first to the last onset of a
fragment's sites. Only kappa times a radius is identified: kappa(1) a is given too.

Writes benchmarks/results/cracks.json and cracks.png.
"""

import itertools
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from benchmarks.cracks_figure import figure
from benchmarks.cracks_network import (
    HOUR,
    MINUTE,
    PATCHES,
    SMALLER,
    by_fragment,
    by_site,
    cracked_body,
    electrode,
    with_contacts,
)
from benchmarks.machine import RESULTS, write_result
from diffelec import bodies
from fitting import style
from fitting.files import finite

CHANGE, RTOL, SAVED = 0.066, 1e-5, 1001
PROTOCOL = diffelec.Protocol.from_strings(["Charge at C/20 until 4.3 V"])
RULES = {"mean": False, "surface": True}
COATED = 16e-6  # m: carbon's contact with a coated particle
USUAL = 0.5e-6  # m: a contact between particles
DELAY, ONSETS = 3.2, (3.3, 6.5)  # h
STARTS = {  # radii of carbon's contact and the bridge [m] that Newton starts from
    "mean": ((COATED, 0.2e-6), (0.7e-6, 0.14e-6)),
    "surface": ((COATED, 0.04e-6), (0.12e-6, 0.03e-6)),
}
SWEPT = np.geomspace(0.01e-6, 2.5e-6, 13)  # m
NEWTON, CLOSE = 12, 1e-3  # steps at most, h
COUNTS = (8, 32)  # patches beside `PATCHES`
LEAST = 0.05  # change of x below which there is no onset


@eqx.filter_jit
def onsets(log_radii, base, body):
    """(onsets of both fragments [h], their derivatives in the logarithms of the radii
    of carbon's contact and the bridge).
    """

    def found(log_radii):
        moved = with_contacts(base, *jnp.exp(log_radii))
        solution = diffelec.simulate(
            moved, PROTOCOL, rtol=RTOL, num_saved=2, throw=False
        )
        times = by_fragment(solution, body).change_times(0, CHANGE)[:2] / HOUR
        return times, times

    slopes, times = jax.jacrev(found, has_aux=True)(log_radii)
    return times, slopes


def fitted(base, body, start, both: bool) -> dict:
    """Radii that meet `ONSETS`, or (not `both`) the bridge's that meets `DELAY`."""
    log_radii, history = np.log(start), []
    for _ in range(NEWTON):
        times, slopes = (np.asarray(a) for a in onsets(log_radii, base, body))
        history.append([*np.exp(log_radii).tolist(), *times.tolist()])
        if both:
            gap = times - np.array(ONSETS)
            step = np.linalg.solve(slopes, -gap)
        else:
            gap = np.array([times[1] - times[0] - DELAY])
            step = np.array([0.0, -gap[0] / (slopes[1, 1] - slopes[0, 1])])
        if np.max(np.abs(gap)) < CLOSE:
            break
        log_radii = log_radii + np.clip(step, -1.0, 1.0)
    return {
        "carbon_radius_um": 1e6 * np.exp(log_radii[0]),
        "bridge_radius_um": 1e6 * np.exp(log_radii[1]),
        "onset_slopes_h": slopes.tolist(),
        "missed_by_h": float(np.max(np.abs(gap))),
        "newton": history,
    }


def slope_check(base, body, radii) -> dict:
    """The exact slope of the delay in the logarithm of the bridge's radius, and that of
    central differences.
    """
    log_radii, step = np.log(radii), np.array([0.0, 1e-2])
    exact = np.diff(np.asarray(onsets(log_radii, base, body)[1])[:, 1])[0]
    ends = [
        np.diff(np.asarray(onsets(log_radii + sign * step, base, body)[0]))[0]
        for sign in (1, -1)
    ]
    return {"exact_h": exact, "differences_h": (ends[0] - ends[1]) / 0.02}


def seen(base, body, carbon, bridge):
    """(events of the fragments, solution) of one charge."""
    solution = diffelec.simulate(
        with_contacts(base, carbon, bridge),
        PROTOCOL,
        rtol=RTOL,
        num_saved=SAVED,
        throw=False,
    )
    pieces = by_fragment(solution, body)
    sites = np.asarray(by_site(solution).change_times(0, CHANGE))[-body.num_sites :]
    onset = np.asarray(pieces.change_times(0, CHANGE))[:2] / HOUR
    middle = np.asarray(pieces.change_times(0, 0.33))[:2] / HOUR
    surface = _surface_onsets(pieces)
    transit = [_span(sites[body.fragment == k]) / MINUTE for k in (0, 1)]
    row = {
        "carbon_radius_um": 1e6 * carbon,
        "bridge_radius_um": None if bridge is None else 1e6 * bridge,
        "onset_h": [finite(t) for t in onset],
        "delay_h": finite(onset[1] - onset[0]),
        "midpoint_h": [finite(t) for t in middle],
        "surface_h": [finite(t) for t in surface],
        "surface_delay_h": finite(surface[1] - surface[0]),
        "transit_min": [finite(t) for t in transit],
        "voltage_at_onsets": [
            finite(v)
            for v in np.interp(
                *(onset * HOUR, solution.time, solution.voltage), right=np.nan
            )
        ],
        "outcome": solution.message(),
    }
    return row, solution


def _span(times) -> float:
    """From the first to the last; NaN where one never comes."""
    return np.ptp(times) if np.all(np.isfinite(times)) else np.nan


def _surface_onsets(pieces) -> np.ndarray:
    """When the surface of each fragment has made 10 % of its own change [h]; NaN where
    that change is below 0.05.
    """
    x, time = np.asarray(pieces.surface_stoichiometry), np.asarray(pieces.time)
    found = []
    for own in x[:, :2].T:
        if own[0] - own[-1] < LEAST:
            found.append(np.nan)
            continue
        target = own[0] + 0.1 * (own[-1] - own[0])
        k = int(np.argmax(own <= target))
        share = (own[k - 1] - target) / (own[k - 1] - own[k])
        found.append(time[k - 1] + share * (time[k] - time[k - 1]))
    return np.array(found) / HOUR


def contacts_of(at_surface: bool, body, carbon, bridge) -> dict:
    """Events of the same two groups of patches with other contacts of equal radii."""
    larger = np.flatnonzero(body.fragment == 0)
    smaller = np.flatnonzero(body.fragment == 1)
    loose = smaller[~np.isin(smaller, body.bridge)]
    cases = {
        "no crack, carbon on the same sites": (bodies.patches(body.num_sites), larger),
        "carbon on one site of the smaller too": (body, np.append(larger, loose[0])),
        "carbon on all sites": (body, np.arange(body.num_sites)),
        "carbon on the smaller alone": (body, smaller),
        "carbon on one site of the larger": (body, larger[:1]),
    }
    rows = {}
    for name, (own, touched) in cases.items():
        base = electrode(own, touched, at_surface=at_surface)
        rows[name], _ = seen(base, body, carbon, bridge if len(own.bridge) else None)
    return rows


def by_rule(name: str) -> tuple[dict, dict]:
    """(figures, what the figure shows) with kappa at one x."""
    body = cracked_body()
    base = electrode(body, np.flatnonzero(body.fragment == 0), at_surface=RULES[name])
    rows, shown = {}, {}
    for target, start in zip(("delay", "onsets"), STARTS[name], strict=True):
        fit = fitted(base, body, start, target == "onsets")
        radii = 1e-6 * fit["carbon_radius_um"], 1e-6 * fit["bridge_radius_um"]
        row, shown[target] = seen(base, body, *radii)
        pristine = float(base.curves.conductivity(1.0))
        products = {"kappa_a_bridge_S": pristine * radii[1]}
        products["kappa_a_carbon_S"] = pristine * radii[0]
        rows[target] = fit | row | products
        print(described(f"{name}, {target}", row), flush=True)
    carbon = 1e-6 * rows["onsets"]["carbon_radius_um"]
    bridge = 1e-6 * rows["delay"]["bridge_radius_um"]
    rows["slope_check"] = slope_check(base, body, (COATED, bridge))
    rows["swept"] = [seen(base, body, COATED, a)[0] for a in SWEPT]
    rows["swept_poor_carbon"] = [seen(base, body, carbon, a)[0] for a in SWEPT]
    rows["usual_contact"], _ = seen(base, body, COATED, USUAL)
    rows["other_contacts"] = contacts_of(RULES[name], body, COATED, bridge)
    for label in ("swept", "swept_poor_carbon"):
        for row in rows[label]:
            print(described(f"{name}, {label}", row))
    print(described(f"{name}, bridge as a usual contact", rows["usual_contact"]))
    for label, row in rows["other_contacts"].items():
        print(described(f"{name}, {label}", row))
    print("slope of the delay:", rows["slope_check"], flush=True)
    return rows, shown


def by_count(found: dict) -> dict:
    """Delays with fewer and more patches, the radii being those fitted with `PATCHES`;
    the smaller fragment's share is as near as their size allows.
    """
    rows = {}
    for rule, count in itertools.product(RULES, COUNTS):
        body = cracked_body(count)
        larger = np.flatnonzero(body.fragment == 0)
        base = electrode(body, larger, at_surface=RULES[rule])
        share = {"share_of_smaller": float(body.share[body.fragment == 1].sum())}
        for target in ("delay", "onsets"):
            fit = found[rule][target]
            radii = 1e-6 * fit["carbon_radius_um"], 1e-6 * fit["bridge_radius_um"]
            name = f"{rule}, {target}, {count} patches"
            rows[name] = share | seen(base, body, *radii)[0]
            print(described(name, rows[name]), flush=True)
    return rows


def described(name: str, row: dict) -> str:
    """A line of the table."""
    onset = np.array(row["onset_h"], float)
    transit = np.array(row["transit_min"], float)
    delay, surface = (
        np.array(row[name], float) for name in ("delay_h", "surface_delay_h")
    )
    bridge = np.array(row["bridge_radius_um"], float)
    return (
        f"{name:48} carbon {row['carbon_radius_um']:7.3f}, bridge "
        f"{bridge:6.3f} um: onsets {onset[0]:5.2f} {onset[1]:5.2f}, "
        f"delay {delay:6.3f}, surface "
        f"{surface:6.3f} h; "
        f"transit {transit[0]:5.1f} {transit[1]:5.1f} min"
    )


def main() -> None:
    """Fits, prints, draws, writes."""
    jax.config.update("jax_enable_x64", True)
    begin = time.perf_counter()
    body = cracked_body()
    found = {
        "patches": PATCHES,
        "asked_share_of_smaller": SMALLER,
        "share_of_smaller": float(body.share[body.fragment == 1].sum()),
        "bridge_sites": body.bridge.tolist(),
    }
    shown = {}
    for name in RULES:
        found[name], shown[name] = by_rule(name)
    found["by_count"] = by_count(found)
    found["wall_s"] = time.perf_counter() - begin
    write_result("cracks", found)
    style.save(figure(found, shown, body), RESULTS / "cracks.png")
    print(f"{found['wall_s']:.0f} s")


if __name__ == "__main__":
    main()
