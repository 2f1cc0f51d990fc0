"""Free quantities: what they change in an electrode, and nothing else."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import pytest

import diffelec
from fitting import mechanisms, parameters, priors, scales


@pytest.fixture(scope="module")
def electrode():
    network = diffelec.graphs.star(3, [1e5, 2e5, 4e5])
    return diffelec.presets.electrode_of(network)


@pytest.fixture(scope="module")
def space(electrode):
    return parameters.ParameterSpace(
        (
            parameters.curve_values(electrode, "conductivity", fixed=[-1]),
            parameters.curve_scale("diffusivity"),
            parameters.contacts(electrode, ["p0", "p2"]),
            parameters.radii(electrode, ["p1"]),
        ),
        clock=parameters.clock(600.0),
    )


def test_raw_and_values_and_vectors_are_one_to_one(space, key):
    raw = jax.random.normal(key, (space.size,))
    values = space.constrain(raw)
    np.testing.assert_allclose(space.unconstrain(values), raw, atol=1e-9)
    again = space.unflatten(space.flatten(values))
    assert all(np.array_equal(again[name], values[name]) for name in values)


def test_every_component_has_a_name_with_its_unit(space):
    assert len(space.labels) == space.size
    assert len(set(space.labels)) == space.size
    assert "log10 conductivity at x=0.25 [log10(S/m)]" in space.labels
    assert "log10 contact radius p2 [log10(m)]" in space.labels
    assert "log10 contact radius population mean [log10(m)]" in space.labels
    assert "clock offset [s]" in space.labels


def test_the_spread_of_logarithms_is_told_in_decades_and_of_others_in_their_unit(space):
    assert "log10 contact radius population spread [decades]" in space.labels
    prior = priors.Hierarchical(2, 4.0, 0.1, 0.02)
    plain = parameters.Free("voltage", prior, where=None, unit="V")
    assert plain.labels == tuple(f"voltage {k} [V]" for k in range(4))


def test_a_curve_without_knots_has_a_remedy_that_every_fit_has(electrode):
    with pytest.raises(ValueError, match="is a ConstantCurve; leave it out, free its"):
        parameters.curve_values(electrode, "rate_constant")


def test_the_middle_of_the_prior_of_curves_leaves_the_curves(space, electrode):
    inserted = space.insert(electrode, space.constrain(jnp.zeros(space.size)))
    x = np.linspace(0.2, 1.0, 9)
    for name in ("conductivity", "diffusivity"):
        expected = getattr(electrode.curves, name)(x)
        found = getattr(inserted.curves, name)(x)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_fixed_knot_stays_and_free_ones_take_their_values(space, electrode):
    values = space.constrain(jnp.ones(space.size))
    table = space.insert(electrode, values).curves.conductivity
    assert table.log10_values[-1] == electrode.curves.conductivity.log10_values[-1]
    np.testing.assert_array_equal(table.log10_values[:4], values["log10 conductivity"])
    assert not np.any(np.isin(table.log10_values[:4], [0.14, -0.82, -1.00, -1.55]))


def test_contacts_set_the_shape_of_their_own_edges_only(space, electrode):
    values = space.constrain(jnp.zeros(space.size))
    values["log10 contact radius"] = jnp.array([-6.0, 0.5, -6.0, -7.0])
    network = space.insert(electrode, values).network
    np.testing.assert_allclose(network.shape_head, [2.5e5, 2e5, 2.5e6], rtol=1e-12)
    np.testing.assert_array_equal(network.shape_tail, 0.0)


def test_a_contact_between_particles_is_set_at_both_ends():
    electrode = diffelec.presets.sharma2022(obstructions=(0, 1))
    free = parameters.contacts(electrode, ["top 1"])
    values = jnp.array([-6.0, 0.5, -6.0])
    network = free.law(values, electrode.network)
    touched = electrode.network.topology.head == electrode.network.topology.first_site
    changed = (network.shape_head != electrode.network.shape_head) & ~touched
    assert np.sum(changed) == 1
    np.testing.assert_allclose(network.shape_head[changed], 2.5e5)
    np.testing.assert_allclose(network.shape_tail[changed], 2.5e5)


def test_radii_and_scales_are_base_ten_logarithms(space, electrode):
    values = space.constrain(jnp.zeros(space.size))
    values |= {"log10 radius": jnp.array([-5.0])}
    values |= {"scale of diffusivity": jnp.array([0.3])}
    inserted = space.insert(electrode, values)
    np.testing.assert_allclose(inserted.radius, [5e-6, 1e-5, 5e-6])
    ratio = inserted.curves.diffusivity(0.5) / electrode.curves.diffusivity(0.5)
    np.testing.assert_allclose(ratio, 10**0.3)


@pytest.mark.parametrize(
    "curve",
    [
        diffelec.curves.ConstantCurve.example(),
        diffelec.curves.PchipCurve.example(),
        diffelec.curves.RoundedLinearCurve.example(),
        diffelec.curves.SigmoidCurve.example(),
        diffelec.curves.DivacancyCurve.example(),
        scales.ScaledCurve.example(),
    ],
    ids=lambda curve: type(curve).__name__,
)
def test_every_curve_can_be_scaled(curve):
    x = np.linspace(0.1, 0.99, 7)
    scaled = scales.scaled_curve(curve, -0.7)
    np.testing.assert_allclose(scaled(x), curve(x) * 10**-0.7, rtol=1e-12)


class Hill(diffelec.curves.AbstractCurve):
    """A curve of one's own, with a field that diffelec's have, which is no factor."""

    height: float = eqx.field(static=True)
    floor: jax.Array = eqx.field(converter=jnp.asarray)
    unit: str = eqx.field(static=True, default="m2/s")
    source: str = eqx.field(static=True, default="a test")

    def __call__(self, stoichiometry):
        return self.height * (stoichiometry * (1.0 - stoichiometry)) ** 2 + self.floor

    @property
    def valid_range(self):
        return (0.2, 0.9)

    @staticmethod
    def example():
        return Hill(1e-13, 1e-16)


def test_a_curve_of_one_s_own_is_scaled_with_its_unit_range_and_slopes():
    hill = Hill.example()
    electrode = diffelec.presets.single_particle(diffusivity=hill)
    space = parameters.ParameterSpace((parameters.curve_scale("diffusivity"),))
    scaled = lambda s: space.insert(electrode, {"scale of diffusivity": s[None]})
    curve = scaled(jnp.asarray(0.3)).curves.diffusivity
    x = np.linspace(0.0, 1.0, 9)
    np.testing.assert_allclose(curve(x), hill(x) * 10**0.3, rtol=1e-12)
    assert (curve.unit, curve.valid_range) == (hill.unit, hill.valid_range)
    at_once = jax.jit(lambda s: scaled(s).curves.diffusivity(0.5))
    slope = jax.grad(at_once)(0.3) / at_once(0.3)
    assert slope == pytest.approx(np.log(10.0))


@pytest.mark.parametrize("name", ["conductivity", "diffusivity"])
def test_more_knots_leave_the_curve(electrode, name):
    table = getattr(electrode.curves, name)
    finer = parameters.with_knots(table, [0.45, 0.8, 0.95, 1.0])
    np.testing.assert_array_equal(
        np.isin(table.knots, finer.knots), np.ones(len(table.knots), bool)
    )
    assert {0.45, 0.8, 0.95} <= set(finer.knots.tolist())
    assert len(finer.knots) == len(set(finer.knots.tolist()))
    x = np.linspace(0.3, 1.0, 71)
    decades = np.log10(finer(x)) - np.log10(table(x))
    np.testing.assert_allclose(decades, 0.0, atol=0.1)
    assert finer.unit == table.unit


def test_the_log_prior_is_that_of_the_values_and_their_map(electrode, key):
    space = parameters.ParameterSpace(
        (
            parameters.curve_values(electrode, "diffusivity"),
            parameters.contacts(
                electrode,
                ["p0", "p1"],
                priors.Independent(dist.Uniform(-8.0, -5.0), 2),
            ),
        )
    )
    raw = jax.random.normal(key, (space.size,))
    values = space.constrain(raw)
    curve = space.frees[0].prior
    density = dist.MultivariateNormal(curve.mean, scale_tril=curve.cholesky).log_prob(
        values["log10 diffusivity"]
    ) + jnp.sum(dist.Uniform(-8.0, -5.0).log_prob(values["log10 contact radius"]))
    slopes = jax.jacfwd(lambda z: space.flatten(space.constrain(z)))(raw)
    expected = density + jnp.linalg.slogdet(slopes)[1]
    np.testing.assert_allclose(space.log_prior(raw), expected, rtol=1e-9)


def test_half_the_squares_of_the_prior_rows_is_the_log_prior(space, key):
    one, other = jax.random.normal(key, (2, space.size))

    def half(raw):
        return 0.5 * jnp.sum(space.prior_residual(raw) ** 2)

    difference = space.log_prior(one) - space.log_prior(other)
    np.testing.assert_allclose(half(other) - half(one), difference, rtol=1e-9)


def test_inserting_is_differentiable_and_can_be_compiled(space, electrode):
    @eqx.filter_jit
    def total(raw):
        inserted = space.insert(electrode, space.constrain(raw))
        leaves = jax.tree.leaves(eqx.filter(inserted, eqx.is_inexact_array))
        finite = [jnp.where(jnp.isfinite(leaf), leaf, 0.0) for leaf in leaves]
        return sum(jnp.sum(jnp.log(jnp.abs(leaf) + 1e-30)) for leaf in finite)

    slopes = jax.grad(total)(jnp.full(space.size, 0.1))
    assert np.all(np.isfinite(slopes))
    silent = np.array(slopes) == 0
    assert [space.labels[k] for k in np.flatnonzero(silent)] == ["clock offset [s]"]


def test_the_clock_acts_on_the_data_only(space, electrode):
    values = space.constrain(jnp.zeros(space.size)) | {"clock offset": jnp.ones(1)}
    assert space.clock_offset(values) == 1.0
    still = space.insert(electrode, values)
    moved = space.insert(electrode, values | {"clock offset": jnp.full(1, 99.0)})
    assert eqx.tree_equal(still, moved)
    assert parameters.ParameterSpace(space.frees).clock_offset(values) == 0.0


def test_the_summary_says_what_cannot_be_identified(space):
    assert parameters.PRODUCT_REMARK in space.remarks
    assert parameters.SCALE_REMARK in space.remarks


def test_what_cannot_be_freed_is_refused_by_name(electrode, space):
    with pytest.raises(ValueError, match="Particle 'p9' must be one of"):
        parameters.contacts(electrode, ["p9"])
    with pytest.raises(ValueError, match="must be a table"):
        parameters.curve_values(electrode, "rate_constant")
    for name in ("kappa", "open_circuit_potential", None):
        words = f"'conductivity', .*'rate_constant', but is {name!r}"
        with pytest.raises(ValueError, match=words):
            parameters.curve_values(electrode, name)
        with pytest.raises(ValueError, match=words):
            parameters.curve_scale(name)
    with pytest.raises(ValueError, match="different names"):
        parameters.ParameterSpace((space.frees[1], space.frees[1]))
    with pytest.raises(ValueError, match="one free quantity or more"):
        parameters.ParameterSpace(())
    with pytest.raises(ValueError, match="must name"):
        space.unconstrain({"log10 radius": jnp.zeros(1)})
    with pytest.raises(ValueError, match="must be positive"):
        parameters.clock(0.0)
    chain = diffelec.presets.electrode_of(diffelec.graphs.chain(2))
    with pytest.raises(ValueError, match="'p0' and 'p1' touch"):
        parameters.contacts(chain, ["p0", "p1"])


def test_a_particle_named_twice_is_refused(electrode):
    for quantity in (parameters.contacts, parameters.radii):
        with pytest.raises(ValueError, match="once, but 'p1' comes twice"):
            quantity(electrode, ["p1", "p0", "p1"])


def test_what_is_no_prior_and_no_quantity_is_refused(electrode, space):
    for make in (
        lambda prior: parameters.contacts(electrode, ["p0"], prior),
        lambda prior: parameters.radii(electrode, ["p0"], prior),
        lambda prior: parameters.curve_values(electrode, "diffusivity", prior),
        lambda prior: parameters.curve_scale("diffusivity", prior),
    ):
        with pytest.raises(
            ValueError, match=r"must be one of .* but is 'normal'; make"
        ):
            make("normal")
    for frees, moving in ((("kappa",), None), (space.frees, 3.0)):
        with pytest.raises(ValueError, match=r"must be a `Free`, but is (3.0|'kappa')"):
            parameters.ParameterSpace(frees, moving)
    for sd in (np.inf, np.nan, "5 min", None):
        with pytest.raises(
            ValueError, match=r"`sd` of the clock must be positive \[s\]"
        ):
            parameters.clock(sd)


@pytest.mark.parametrize(
    ("quantity", "name"),
    [
        (parameters.contacts, "log10 contact radius"),
        (mechanisms.reactivities, "log10 reactivity"),
        (mechanisms.diffusion_lengths, "log10 diffusion length"),
    ],
)
def test_a_prior_of_another_number_of_particles_is_refused(electrode, quantity, name):
    labels, normal = ["p0", "p1"], dist.Normal(0.0, 1.0)
    for prior, kind, count in (
        (priors.Hierarchical(1, -6.3, 1.0, 0.5), "Hierarchical", 1),
        (priors.Hierarchical(4, -6.3, 1.0, 0.5), "Hierarchical", 4),
        (priors.Independent(normal, 3), "Independent", 3),
        (priors.Independent(normal), "Independent", 1),
    ):
        words = f"'{name}' must be .* the 2 particles .* the {kind} is of {count}; give"
        with pytest.raises(ValueError, match=words):
            quantity(electrode, labels, prior)
    own = quantity(electrode, labels, priors.Independent(normal, 2))
    assert own.components == ("p0", "p1")
    with pytest.raises(ValueError, match=r"must be one of .* but is 'normal'; make"):
        quantity(electrode, labels, "normal")
    with pytest.raises(ValueError, match="Particle 'p9' must be one of"):
        quantity(electrode, ["p0", "p9"])
    with pytest.raises(ValueError, match="once, but 'p1' comes twice"):
        quantity(electrode, ["p1", "p0", "p1"])


def test_values_of_another_size_are_refused_by_name(space):
    values = space.constrain(jnp.zeros(space.size))
    wrong = values | {"log10 radius": jnp.zeros(2), "clock offset": jnp.zeros((1, 1))}
    for turn in (space.flatten, space.unconstrain):
        words = r"'log10 radius' must .* p1 .*\(1\), but has the shape \(2,\)"
        with pytest.raises(ValueError, match=words):
            turn(wrong)
    assert space.flatten(values | {"clock offset": 0.0}).shape == (space.size,)


def test_knots_that_are_none_are_refused(electrode):
    with pytest.raises(ValueError, match=r"indices of the \d+ knots .* is \(99,\)"):
        parameters.curve_values(electrode, "conductivity", fixed=(99,))
    with pytest.raises(ValueError, match=r"between 0 and 1, but are .*1.5, -1.0"):
        parameters.with_knots(electrode.curves.conductivity, [1.5, -1])
    with pytest.raises(ValueError, match=r"must be a table .* is a ConstantCurve"):
        parameters.with_knots(diffelec.curves.ConstantCurve.example(), [0.5])
