"""Fronts inside particles, on made-up trajectories and on one solve."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import fronts
from diffelec.solver import Track
from diffelec.topology import Topology

R = 5e-6
CENTRES = [[0, 0, 0.75], [0, 0, 0.0], [0, 0, -0.75], [0, 0, 0]]


def made_up(times_reached, ends=(0.5, 0.5, 0.5, 0.4), duration=100.0):
    """Sites whose surface falls from 0.9 to its end within 10 s, each from its own time
    on; three of the first particle, one of the second.
    """
    topology = Topology(
        [0, 0, 0, 0],
        [1, 2, 3, 4],
        ["cut", "whole"],
        site_particle=[0, 0, 0, 1],
        site_centres=CENTRES,
    )
    reached = jnp.asarray(times_reached, float)
    knots = jnp.concatenate([reached, reached + 10.0])
    time = jnp.concatenate([jnp.zeros(1), jnp.sort(knots), jnp.full(1, duration)])
    along = jnp.clip((time[:, None] - reached) / 10.0, 0.0, 1.0)
    surface = 0.9 - along * (0.9 - jnp.asarray(ends))
    value = jnp.concatenate([surface + 0.01, surface, jnp.zeros((len(time), 6))], 1)
    return diffelec.Solution(
        time=time,
        voltage=None,
        current=None,
        potentials=None,
        site_stoichiometry=surface + 0.01,
        site_surface_stoichiometry=surface,
        step_start_times=np.array([7.0]),
        step_end_times=np.array([7.0 + duration]),
        step_capacities=np.ones(1),
        step_results=None,
        result=None,
        failed_step=np.array(-1),
        num_steps=np.ones((1, 2), int),
        tracks=Track(time[None], value[None], jnp.zeros((1, len(time), 1, 14))),
        topology=topology,
        texts=("Charge at C/20 until 4.3 V",),
        half_cycles=(0,),
        spans=None,
    )


def test_sites_change_when_their_surface_has_moved():
    found = made_up([20.0, 30.0, 60.0, 5.0]).site_change_times(0, 0.2)
    np.testing.assert_allclose(found, [25.0, 35.0, 65.0, 9.0], rtol=1e-9)


def test_a_front_passes_from_the_first_to_the_last_site():
    solution = made_up([20.0, 35.0, 60.0, 5.0])
    np.testing.assert_allclose(fronts.transit_times(solution), [40.0, 0.0], rtol=1e-9)


def test_a_site_that_never_reacts_lets_no_front_pass():
    solution = made_up([20.0, 35.0, 60.0, 5.0], ends=(0.5, 0.5, 0.8, 0.4))
    assert list(fronts.transit_times(solution)) == [np.inf, 0.0]
    assert list(fronts.transit_times(solution, change=0.05)) != [np.inf, 0.0]


def test_transit_is_differentiable():
    def transit(second):
        times = jnp.stack([jnp.array(20.0), second, jnp.array(45.0), jnp.array(5.0)])
        return fronts.transit_times(made_up(times))[0]

    assert jax.grad(transit)(jnp.array(60.0)) == pytest.approx(1.0)
    assert jax.grad(transit)(jnp.array(33.0)) == pytest.approx(0.0)


def test_speed_of_an_even_front_is_distance_over_time():
    solution = made_up([20.0, 35.0, 50.0, 5.0])
    found = fronts.front_speeds(solution, [R, R])
    np.testing.assert_allclose(found, [0.75 * R / 15.0, 0.0], rtol=1e-9)


def test_speed_is_that_from_the_site_first_reached():
    solution = made_up([50.0, 20.0, 35.0, 5.0])
    slope = 0.75 * R * (30.0 + 15.0) / (30.0**2 + 15.0**2)
    assert fronts.front_speeds(solution, [R, R])[0] == pytest.approx(slope)


def test_no_speed_where_all_react_at_once_or_one_only():
    together = made_up([20.0, 20.0, 20.0, 5.0])
    assert fronts.front_speeds(together, [R, R])[0] == np.inf
    one = made_up([20.0, 35.0, 60.0, 5.0], ends=(0.5, 0.8, 0.8, 0.4))
    assert np.isnan(fronts.front_speeds(one, [R, R], change=0.25)[0])
    assert np.isfinite(fronts.front_speeds(one, [R, R])[0])


def test_spread_is_largest_less_smallest_surface():
    solution = made_up([20.0, 35.0, 60.0, 5.0])
    spread = fronts.surface_spread(solution)
    assert spread.shape == (len(solution.time), 2)
    here = np.flatnonzero(np.asarray(solution.time) == 35.0)[0]
    np.testing.assert_allclose(spread[here], [0.4, 0.0], atol=1e-9)
    np.testing.assert_allclose(fronts.largest_spreads(solution), [0.4, 0], atol=1e-9)


def test_a_particle_is_even_once_the_last_site_has_followed():
    # First site: 0.066 of 0.4 at 21.65 s. Last: within 0.05 from 68.75 s on.
    solution = made_up([20.0, 35.0, 60.0, 5.0])
    found = fronts.homogenising_times(solution)
    np.testing.assert_allclose(found, [68.75 - 21.65, 0.0], rtol=1e-9)


def test_a_particle_that_stays_uneven_never_homogenises():
    solution = made_up([20.0, 35.0, 60.0, 5.0], ends=(0.5, 0.5, 0.6, 0.4))
    assert fronts.homogenising_times(solution)[0] == np.inf


def test_half_cycles_of_a_recording_are_kept_apart():
    """Two windows of one protocol step, which began at 7 s."""
    whole = made_up([20.0, 35.0, 60.0, 5.0])
    halves = dataclasses.replace(whole, spans=((7.0, 32.0), (32.0, 107.0)))
    spreads = [fronts.largest_spreads(halves, k)[0] for k in (0, 1)]
    np.testing.assert_allclose(spreads, [0.2, 0.4], atol=0.05)
    waited = [fronts.homogenising_times(halves, k)[0] for k in (0, 1)]
    assert waited[0] == np.inf
    assert 30.0 < waited[1] < 45.0


def test_an_even_particle_has_no_time_to_wait():
    assert fronts.homogenising_times(made_up([20.0] * 4))[0] == 0.0


def test_particles_of_one_site_answer_as_before():
    electrode = diffelec.presets.electrode_of(diffelec.graphs.chain(2), num_shells=6)
    steps = ["Charge at C/5 for 2 hours", "Rest for 10 minutes"]
    protocol = diffelec.Protocol.from_strings(steps)
    solution = diffelec.simulate(electrode, protocol, rtol=1e-3, num_saved=11)
    means = solution.site_change_times(0, 0.066, surface=False)
    np.testing.assert_array_equal(means, solution.change_times(0, 0.066))
    surfaces = solution.site_change_times(0, 0.066)
    assert surfaces[0] < means[0]
    assert np.all(np.asarray(fronts.transit_times(solution)) == 0.0)
    instants, values = solution.site_trajectories(0)
    at_end = np.asarray(instants) >= float(solution.half_cycle_span(0)[1])
    ended = np.asarray(values)[at_end]
    np.testing.assert_allclose(ended, np.broadcast_to(ended[:1], ended.shape))


def test_one_radius_serves_all_particles_and_another_number_is_refused():
    solution = made_up([20.0, 35.0, 60.0, 5.0])
    each = fronts.front_speeds(solution, jnp.array([R, R]))
    np.testing.assert_array_equal(fronts.front_speeds(solution, R), each)
    for radius in (jnp.full(1, R), jnp.full(3, R)):
        with pytest.raises(ValueError, match="one for each of 2 particles, but has"):
            fronts.front_speeds(solution, radius)


@pytest.mark.parametrize("level", [0.0, -0.05, "0.05", None])
def test_levels_of_evenness_must_be_above_zero(level):
    with pytest.raises(ValueError, match="`level` must be above 0, but is"):
        fronts.homogenising_times(made_up([20.0, 35.0, 60.0, 5.0]), level=level)


@pytest.mark.parametrize("parts", [0, 2.5, True])
def test_steps_are_cut_into_a_whole_number_of_parts(parts):
    with pytest.raises(ValueError, match="`parts` must be a whole number, 1 or more"):
        made_up([20.0, 35.0, 60.0, 5.0]).site_trajectories(parts=parts)


@pytest.mark.parametrize("radius", [-R, np.nan, [R, 5.0], "5 um", None])
def test_what_is_no_radius_is_refused(radius):
    with pytest.raises(ValueError, match="`radius` must be "):
        fronts.front_speeds(made_up([20.0, 35.0, 50.0, 5.0]), radius)
