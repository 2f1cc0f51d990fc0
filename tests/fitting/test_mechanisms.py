"""Each mechanism delays or stretches jumps in its own way; all have as many numbers."""

import jax.numpy as jnp
import numpy as np
import pytest

from fitting import candidates, mechanisms, parameters, setup
from fitting.bench import Bench, Frames
from fitting.choices import Choices
from fitting.events import Event, Events
from fitting.priors import Correlated
from fitting.recording import Recording

HOUR = 3600.0
LABELS = ("a", "b", "c")
CHARGE = Recording(
    HOUR * np.array([0.0, 0.2, 1.0, 8.0, 16.0, 20.0]),
    np.array([3.2, 3.8, 3.92, 4.0, 4.15, 4.3]),
)


def choices_of(name):
    return Choices(mechanism=name, free=mechanisms.mechanism(name).free, num_shells=6)


def prepared(name):
    rows = [
        Event(label, kind, time=5 * HOUR, sd=HOUR)
        for kind in ("midpoint", "duration")
        for label in LABELS
    ]
    return setup.by_voltage(Events.from_rows(rows), CHARGE, choices_of(name))


def times(found, members):
    """Midpoints and durations [h] for three of a population's numbers."""
    problem = found.problem
    raw = np.zeros(problem.space.size)
    raw[2:5] = members
    made = problem.predict(problem.space.constrain(jnp.asarray(raw)))
    assert not bool(made.failed)
    return np.split(np.asarray(made.times) / HOUR, 2)


@pytest.mark.parametrize("name", ["network", "autocatalytic"])
def test_a_poor_contact_or_a_sluggish_surface_delays_a_jump(name):
    middle, lasting = times(prepared(name), [2.0, 0.0, -1.0])
    assert np.all(np.diff(middle) > 0.5)
    assert middle[0] < 3.0
    # A jump that begins late is short beside its delay: it feeds itself.
    assert lasting[1] < 0.6 * middle[1]


def test_a_long_way_to_diffuse_stretches_a_jump():
    middle, lasting = times(prepared("diffusion"), [-2.0, 0.0, 2.0])
    assert np.all(np.diff(lasting) > 0.0)
    # D/R^2 falls by (10^0.8)^2 = 40 from the first to the last.
    assert 5.0 < lasting[2] / lasting[0] < 60.0
    assert lasting[2] > 0.8 * middle[2]


def test_every_mechanism_has_one_number_a_particle_and_shares_the_rest():
    for name in mechanisms.MECHANISMS:
        space = prepared(name).problem.space
        own, *others = space.frees
        assert own.components == ("population mean", "population spread", *LABELS)
        assert len(others) == len(mechanisms.mechanism(name).free)
        assert not any(set(LABELS) & set(free.components) for free in others)


def test_rivals_of_the_network_meet_no_resistance_and_the_reaction_speeds_up():
    kappa = prepared("diffusion").problem.electrode.curves.conductivity
    assert float(kappa(1.0)) == 1.0
    rate = prepared("autocatalytic").problem.electrode.curves.rate_constant
    x = np.array([0.4, 0.5, 0.7, 0.9])
    i0 = np.asarray(rate(x)) * np.sqrt(x * (1 - x))
    # Park 2021 as coded in MPET, relative to x = 0.5
    np.testing.assert_allclose(
        i0 / i0[1], np.array([0.993, 0.924, 0.076, 5.5e-4]) / 0.924, rtol=0.05
    )
    np.testing.assert_allclose(i0[1] * 96485.33 * 49.6e3, 1.0, rtol=1e-3)


def test_a_mechanism_without_a_recorded_voltage_is_refused():
    choices = Choices(mechanism="autocatalytic", free=())
    events = Events.from_rows([Event("a", "midpoint", time=HOUR, sd=60.0)])
    with pytest.raises(ValueError, match=r"recorded voltage.*leave `--drive current` "):
        setup.by_current(
            events,
            Recording(CHARGE.time, CHARGE.voltage, np.ones(CHARGE.time.size)),
            choices,
        )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"mechanism": "magic"}, "must be one of network, .* but is 'magic'"),
        (
            {"mechanism": "diffusion", "free": ("radius",)},
            "'radius' must not be free with the mechanism 'diffusion'",
        ),
        (
            {"free": ("rate-constant", "exchange-current")},
            "drop one of 'rate-constant' and 'exchange-current'",
        ),
    ],
)
def test_choices_that_contradict_themselves_are_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Choices(**fields)


def test_one_that_was_added_with_a_prior_without_a_count_offers_every_experiment(
    monkeypatch,
):
    def known(electrode, particles):
        size = len(particles)
        prior = Correlated(np.full(size, -6.5), 0.4 * np.eye(size))
        return parameters.contacts(electrode, particles, prior)

    added = mechanisms.MECHANISMS["network"]._replace(own=known)
    monkeypatch.setitem(mechanisms.MECHANISMS, "known", added)
    tried = Bench(prepared("known"), choices_of("known"), Frames(600.0, 60.0))
    found, left_out = candidates.build(tried)
    assert left_out == []
    (part,) = {one.name: one for one in found}["particles"].parts
    own = part.space.frees[0].prior
    assert own.size == len(part.electrode.radius) == 6
    np.testing.assert_allclose(own.constrain(np.zeros(6)), -6.5)
