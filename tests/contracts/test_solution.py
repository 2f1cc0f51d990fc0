"""What a solution tells between the instants saved, on made-up trajectories."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec.solver import Track
from diffelec.topology import Topology

COUNT = 40  # particles, of one site each


def made_up(value, time, spans=None, higher=0.0):
    """A solution of one protocol step, in which means, and surfaces alike, take the
    values (knot, particle) at the times, between which they bend.
    """
    count = value.shape[1]
    end = np.asarray(time[-1:])
    bends = jnp.full((1, *value.shape[:1], 1, 2 * count), higher)
    return diffelec.Solution(
        time=jnp.asarray(time, float),
        voltage=None,
        current=None,
        potentials=None,
        site_stoichiometry=value,
        site_surface_stoichiometry=value,
        step_start_times=np.zeros(1),
        step_end_times=end,
        step_capacities=np.ones(1),
        step_results=None,
        result=None,
        failed_step=np.array(-1),
        num_steps=np.ones((1, 2), int),
        tracks=Track(
            jnp.asarray(time, float)[None], jnp.concatenate([value] * 2, 1)[None], bends
        ),
        topology=Topology(
            [0] * count,
            1 + np.arange(count),
            [f"p{k}" for k in range(count)],
        ),
        texts=("recorded current",),
        half_cycles=(0,),
        spans=spans,
    )


def test_all_of_a_change_is_made_by_the_end_of_a_recorded_half_cycle(rng):
    fall = rng.uniform(0.1, 0.4, (2, COUNT))
    values = np.stack([np.full(COUNT, 0.9), *(0.9 - np.cumsum(fall, axis=0))])
    values = np.vstack([values, values[:1]])
    spans = ((0.0, 20.0), (20.0, 30.0))
    found = made_up(jnp.asarray(values), [0.0, 10.0, 20.0, 30.0], spans, higher=0.03)
    np.testing.assert_allclose(found.onset_times(0, 1.0), 20.0, rtol=1e-12)
    np.testing.assert_allclose(found.onset_times(1, 1.0), 10.0, rtol=1e-12)
    for half_cycle, ends in ((0, values[[0, 2]]), (1, values[[2, 3]])):
        np.testing.assert_array_equal(found.half_cycle_ends(half_cycle), ends)


def onset(steepness, level):
    """Of one particle that falls by 0.6 in 10 s along a bent line."""
    values = 0.9 - jnp.array([0.0, 0.6]) * steepness
    return made_up(values[:, None], [0.0, 10.0], higher=0.2).onset_times(0, level)[0]


@pytest.mark.parametrize(("one", "other"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_second_derivatives_of_an_onset_are_refused(one, other):
    """Of a mixed one, each of the two is a first derivative."""
    slope = jax.grad(onset, one)
    up, down = (
        onset(*(np.array([1.0, 0.3]) + h * np.eye(2)[one])) for h in (1e-5, -1e-5)
    )
    np.testing.assert_allclose(slope(1.0, 0.3), (up - down) / 2e-5, rtol=1e-6)
    with pytest.raises(NotImplementedError, match="asked for a second derivative"):
        jax.grad(slope, other)(1.0, 0.3)


def test_whether_surfaces_are_meant_may_be_a_truth_of_numpy():
    found = made_up(jnp.array([[0.9], [0.3]]), [0.0, 10.0])
    for surface in (np.bool_(True), np.array(False), jnp.array(True)):
        np.testing.assert_array_equal(
            found.site_change_times(surface=surface), found.change_times()
        )
        assert len(found.half_cycle_ends(surface=surface)) == 2


@pytest.mark.parametrize("surface", ["mean", 1, None])
def test_whether_surfaces_are_meant_is_no_text(surface):
    found = made_up(jnp.array([[0.9], [0.3]]), [0.0, 10.0])
    message = f"`surface` must be True or False, but is {surface!r}"
    for asked in (found.site_change_times, found.half_cycle_ends):
        with pytest.raises(ValueError, match=message):
            asked(surface=surface)


def test_a_half_cycle_is_a_plain_number():
    found = made_up(jnp.array([[0.9], [0.3]]), [0.0, 10.0])
    for half_cycle in (False, "0", 1, -1, 0.5):
        message = f"`half_cycle` must be 0 to 0 for .*, but is {half_cycle!r}"
        for asked in (found.onset_times, found.half_cycle_span):
            with pytest.raises(ValueError, match=message):
                asked(half_cycle)
    with pytest.raises(ValueError, match="`half_cycle` must be a number, but a transf"):
        jax.jit(lambda half_cycle: found.onset_times(half_cycle))(0)
