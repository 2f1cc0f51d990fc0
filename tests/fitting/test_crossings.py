"""Durations beyond the end of a half cycle: continuous, longer the less reacts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fitting import crossings, imaged
from fitting.ends import ends_in, within
from fitting.events import CHANGES, Event, Events
from fitting.problem import Simulated

HOUR = 3600.0
ONSET, CHANGE = CHANGES["onset"], CHANGES["duration"]
LENGTH = 10.0


def duration(moved):
    """Of a particle that moves steadily, by `moved` within the half cycle."""
    levels = jnp.array([ONSET, CHANGE])
    crossed = levels / moved * LENGTH
    crossed = jnp.where(crossed <= LENGTH, crossed, jnp.inf)
    onset, completed = crossings.continued(crossed, levels, moved, LENGTH)
    share = (moved - ONSET) / (CHANGE - ONSET)
    over = ~jnp.isinf(crossed[1])
    return crossings.lasting(completed, onset, over, share)


def test_a_duration_is_longer_the_less_a_particle_reacts():
    moved = jnp.linspace(0.001, 0.8, 4000)
    found = np.asarray(jax.vmap(duration)(moved))
    assert np.all(np.diff(found) < 0)
    np.testing.assert_allclose(found[0], 2.0 * LENGTH, rtol=2e-3)
    np.testing.assert_allclose(found[-1], (CHANGE - ONSET) / 0.8 * LENGTH)


@pytest.mark.parametrize("change", [ONSET, CHANGE])
def test_a_duration_goes_on_where_its_onset_or_its_end_leaves_the_half_cycle(change):
    near = change + jnp.array([-1e-9, 1e-9])
    low, high = jax.vmap(duration)(near)
    np.testing.assert_allclose(low, high, rtol=1e-6)


def test_its_slope_goes_on_too_where_the_onset_leaves_the_half_cycle():
    near = ONSET + jnp.array([-1e-9, 1e-9])
    low, high = jax.vmap(jax.grad(duration))(near)
    np.testing.assert_allclose(low, high, rtol=1e-6)
    np.testing.assert_allclose(low, -LENGTH / CHANGE, rtol=1e-6)


def test_particles_that_do_not_finish_are_told_no_duration():
    """Each on a contact of its own, from one through which it reacts to one that it
    does not; some of them begin only.
    """
    kinds = ("onset", "completion", "duration")
    labels = tuple(f"p{k}" for k in range(16))
    rows = [Event(p, kind, time=HOUR, sd=60.0) for p in labels for kind in kinds]
    events = Events.from_rows(rows)
    electrode = imaged.imaged_electrode(
        labels, contact_radius=np.linspace(2.1e-7, 1.5e-7, len(labels)), num_shells=6
    )
    drive = imaged.voltage_drive(HOUR * np.array([0.0, 8.0]), np.array([3.4, 4.2]))
    forward = Simulated.of(electrode, drive, events, origin=HOUR, rtol=1e-6)
    found = forward(electrode)
    onset, completed, duration = np.reshape(found.times, (-1, 3)).T
    ends = ends_in(forward, drive.spans)
    told = within(found.stated, ends).reshape(-1, 3)
    begun, over, lasted = np.isfinite(told).T
    assert over.any()
    assert (begun & ~over).any()
    assert not begun.all()
    np.testing.assert_array_equal(lasted, over)
    np.testing.assert_allclose(told[over, 2], (completed - onset)[over])
    assert np.all(duration[begun & ~over] > (9.0 * HOUR - onset)[begun & ~over])
    assert np.all(np.diff(duration[~over]) > 0)  # the smaller the contact, the longer
    assert duration[-1] > 1.9 * 8.0 * HOUR
