"""What a fit may change: named free quantities of an electrode, with their priors.

Only the product of conductivity and contact radius is identifiable (every half of a
contact is 1/(4 kappa a)): where contacts are free, hold one knot of kappa fixed. Driven
by a recorded voltage, only D/R^2, kappa a/R^3 and i0/R are: hold the radius at its
measured or assumed value, or give it a prior. To add a quantity, add one function here
that returns a `Free`.
"""

import dataclasses
import numbers
from collections.abc import Callable, Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
from jaxtyping import Array, Float, PyTree

import diffelec

from .owners import check_uncut, contacts_of, numbers_of, population_names
from .priors import (
    AbstractPrior,
    Correlated,
    Hierarchical,
    Independent,
    check_prior,
    smooth,
)
from .scales import check_curve, scaled_curve

CONTACTS = "log10 contact radius"
"""Name of the contacts of the particles."""
PRODUCT_REMARK = (
    "Only the product of conductivity and contact radius is identifiable; one level of "
    "the conductivity is held fixed, and contact radii are relative to it."
)
SCALE_REMARK = (
    "Driven by a recorded voltage, only D/R^2, kappa a/R^3 and i0/R are identifiable; "
    "radii are held at their measured or assumed values."
)


def _replaced(values, old):
    """The whole leaf, in the shape that it had."""
    return jnp.reshape(values, jnp.shape(old))


def _check_table(name: str, table) -> None:
    """Raises ValueError for a curve without knots."""
    if not hasattr(table, "log10_values"):
        raise ValueError(
            f"The {name} must be a table to free its knots, but is a "
            f"{type(table).__name__}; leave it out, free its scale, or replace it by a "
            "table."
        )


class Free(eqx.Module):
    """A named free quantity: where it sits, and what is believed of it.

    Attributes:
        name: of the quantity; units of its values are in `unit`.
        prior: of its values.
        where: the part of the electrode that it changes, as for `eqx.tree_at`; None for
            a quantity that is not of the electrode (a clock).
        law: (values, that part before) to that part after; replaces it unless given.
        unit: of the values, "log10(m)" for a base-10 logarithm.
        components: a name for each value.
        remark: what a summary should say of its identifiability.
    """

    name: str = eqx.field(static=True)
    prior: AbstractPrior
    where: Callable[[PyTree], PyTree] | None = eqx.field(static=True)
    law: Callable[[Array, PyTree], PyTree] = eqx.field(static=True, default=_replaced)
    unit: str = eqx.field(static=True, default="")
    components: tuple[str, ...] = eqx.field(static=True, default=())
    remark: str = eqx.field(static=True, default="")

    def __check_init__(self):
        check_prior(self.name, self.prior)
        if self.components and len(self.components) != self.prior.size:
            raise ValueError(
                f"`components` of '{self.name}' must name each of its "
                f"{self.prior.size} values, but has {len(self.components)} names."
            )

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for each component, unit included."""
        units = [f" [{unit}]" if unit else "" for unit in self.units]
        if self.components:
            named = zip(self.components, units, strict=True)
            return tuple(f"{self.name} {c}{unit}" for c, unit in named)
        if self.prior.size == 1:
            return (f"{self.name}{units[0]}",)
        return tuple(f"{self.name} {k}{unit}" for k, unit in enumerate(units))

    @property
    def units(self) -> tuple[str, ...]:
        """Of each component: the spread of logarithms is a number of decades."""
        units = [self.unit] * self.prior.size
        if isinstance(self.prior, Hierarchical) and self.unit.startswith("log10("):
            units[1] = "decades"
        return tuple(units)


class ParameterSpace(eqx.Module):
    r"""All free quantities of a fit, as one vector of raw numbers.

    Raw numbers z are independent standard normal under the prior; `constrain` turns
    them into named values, `insert` puts those into an electrode.

    Attributes:
        frees: of the electrode.
        clock: seconds by which the events' clock is ahead of the cycler's, if free.
    """

    frees: tuple[Free, ...]
    clock: Free | None = None

    def __check_init__(self):
        wrong = [part for part in self.parts if not isinstance(part, Free)]
        if wrong:
            raise ValueError(
                f"A free quantity must be a `Free`, but is {wrong[0]!r}; make one by a "
                "function of `fitting.parameters`, such as `radii`."
            )
        names = [free.name for free in self.parts]
        if len(set(names)) != len(names):
            raise ValueError(f"Free quantities must have different names: {names}.")
        if not names:
            raise ValueError("A parameter space must have one free quantity or more.")

    @property
    def parts(self) -> tuple[Free, ...]:
        """The quantities in the order of the vector, the clock last."""
        return (*self.frees, *(() if self.clock is None else (self.clock,)))

    @property
    def size(self) -> int:
        """Number of components."""
        return sum(free.prior.size for free in self.parts)

    @property
    def labels(self) -> tuple[str, ...]:
        """A name for every component of the vector, unit included."""
        return tuple(label for free in self.parts for label in free.labels)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a summary should say of what can be identified."""
        return tuple(dict.fromkeys(f.remark for f in self.parts if f.remark))

    def unflatten(
        self, vector: Float[Array, " component"]
    ) -> dict[str, Float[Array, " value"]]:
        """One array of values for each name."""
        ends = np.cumsum([free.prior.size for free in self.parts])[:-1].tolist()
        parts = jnp.split(self._vector(vector), ends)
        return {free.name: part for free, part in zip(self.parts, parts, strict=True)}

    def _vector(self, numbers) -> Float[Array, " component"]:
        """One number a component, as an array; ValueError for another shape."""
        vector = jnp.asarray(numbers)
        if vector.shape != (self.size,):
            raise ValueError(
                f"The raw numbers must be a vector of {self.size}, one for each of "
                f"{', '.join(self.labels[:4])}{' …' if self.size > 4 else ''}, but "
                f"have the shape {vector.shape}; map over many by `jax.vmap`."
            )
        return vector

    def flatten(self, values: dict) -> Float[Array, " component"]:
        """The values of all names in one vector, in the order of `labels`."""
        names = [free.name for free in self.parts]
        if set(values) != set(names):
            raise ValueError(f"`values` must name {names}, but names {list(values)}.")
        parts = [jnp.atleast_1d(values[name]) for name in names]
        for free, part in zip(self.parts, parts, strict=True):
            if part.shape != (free.prior.size,):
                raise ValueError(
                    f"'{free.name}' must have one value for each of "
                    f"{', '.join(free.labels)} ({free.prior.size}), but has the shape "
                    f"{part.shape}; give one a component."
                )
        return jnp.concatenate(parts)

    def constrain(self, raw: Float[Array, " component"]) -> dict:
        """Named values of raw numbers."""
        parts = self.unflatten(raw)
        return {
            free.name: free.prior.constrain(parts[free.name]) for free in self.parts
        }

    def unconstrain(self, values: dict) -> Float[Array, " component"]:
        """Raw numbers of named values."""
        parts = self.unflatten(self.flatten(values))
        return jnp.concatenate(
            [free.prior.unconstrain(parts[free.name]) for free in self.parts]
        )

    def insert(self, electrode: PyTree, values: dict) -> PyTree:
        """A new electrode that has the values."""
        for free in self.frees:
            part = free.law(values[free.name], free.where(electrode))
            electrode = eqx.tree_at(free.where, electrode, part)
        return electrode

    def clock_offset(self, values: dict) -> Float[Array, ""]:
        """Seconds by which the events' clock is ahead."""
        if self.clock is None:
            return jnp.zeros(())
        return values[self.clock.name][0]

    def log_prior(self, raw: Float[Array, " component"]) -> Float[Array, ""]:
        """Log density of raw numbers: the prior of the values plus the log-determinant
        of their map.
        """
        raw = self._vector(raw)
        return -0.5 * jnp.sum(raw**2) - 0.5 * self.size * jnp.log(2.0 * jnp.pi)

    def prior_residual(
        self, raw: Float[Array, " component"]
    ) -> Float[Array, " component"]:
        """Rows of least squares that are the prior."""
        return self._vector(raw)


def curve_values(
    electrode: diffelec.Electrode,
    curve: str,
    prior: AbstractPrior | None = None,
    *,
    fixed: Sequence[int] = (),
    sd: float = 0.5,
    roughness: float = 0.3,
) -> Free:
    """Base-10 logarithms of a tabulated curve at its knots.

    Args:
        electrode: whose table is the middle of the prior.
        curve: "conductivity", "diffusivity" or "rate_constant".
        prior: of the values at the free knots, in their order, such as a
            `priors.Monotone`; smooth about the table unless given.
        fixed: indices of knots that stay (negative ones from the end). One level of
            the conductivity has to, where contacts are free.
        sd: of the smooth prior about the table [decades].
        roughness: of the smooth prior, off the line through the neighbours [decades].
    """
    check_curve(curve)
    table = getattr(electrode.curves, curve)
    _check_table(curve, table)
    knots, count = np.asarray(table.knots), len(table.knots)
    if not all(-count <= k < count for k in fixed):
        raise ValueError(
            f"`fixed` must be indices of the {count} knots of the {curve}, but is "
            f"{tuple(fixed)}; count from 0, or from the end by negative ones."
        )
    free = np.setdiff1d(np.arange(count), np.arange(count)[list(fixed)])
    if prior is None:
        prior = smooth(knots, np.asarray(table.log10_values), sd, roughness, free)

    def law(values, old):
        return jnp.asarray(old).at[free].set(values)

    return Free(
        name=f"log10 {curve}",
        prior=prior,
        where=lambda electrode: getattr(electrode.curves, curve).log10_values,
        law=law,
        unit=f"log10({table.unit})" if table.unit else "",
        components=tuple(f"at x={knots[k]:.3g}" for k in free),
        remark=PRODUCT_REMARK if curve == "conductivity" and len(fixed) else "",
    )


def with_knots(
    table: diffelec.curves.AbstractCurve, knots: Sequence[float]
) -> diffelec.curves.AbstractCurve:
    """The same table with more knots, on the curve: finer, where data may bend it."""
    _check_table("curve", table)
    old, new = np.asarray(table.knots, float), np.asarray(knots, float)
    if not np.all((new >= 0) & (new <= 1)):
        raise ValueError(
            "`knots` must be stoichiometries between 0 and 1, but are "
            f"{new.tolist()}; leave the others out."
        )
    every = np.union1d(old, new)
    values = np.log10(np.asarray(eqx.filter_jit(table)(jnp.asarray(every))))
    # Corners are rounded: old knots keep their own values.
    values[np.searchsorted(every, old)] = table.log10_values
    return dataclasses.replace(table, knots=every, log10_values=values)


def curve_scale(curve: str, prior: AbstractPrior | None = None) -> Free:
    """Decades by which a whole curve is raised ("conductivity", "diffusivity" or
    "rate_constant"), also one of one's own class; N(0, 0.5) unless given.
    """
    check_curve(curve)
    return Free(
        name=f"scale of {curve}",
        prior=Independent(dist.Normal(0.0, 0.5)) if prior is None else prior,
        where=lambda electrode: getattr(electrode.curves, curve),
        law=lambda values, old: scaled_curve(old, values[0]),
        unit="decades",
    )


def contacts(
    electrode: diffelec.Electrode,
    particles: Sequence[str],
    prior: AbstractPrior | None = None,
) -> Free:
    r"""Contact radius a of every particle named, through which its electrons come.

    Sets the constrictions $$ s = 1/(4a) $$ of the edges that end at the particle. That
    of a particle cut into sites is spread over them, as `diffelec.resolve` does; where
    it touches another particle, and within it, all stays.
    Identifiable only as kappa times a: hold one knot of kappa fixed beside it.

    Args:
        electrode: whose edges are meant.
        particles: their labels, each once.
        prior: of log10(a/m), one a particle; a `priors.Hierarchical` has the
            population's mean and spread in front. Unless given: hierarchical, about
            0.5 um known to a decade, with a spread of half a decade.

    Raises:
        ValueError: for a particle that is unknown, named twice or without a contact of
            its own, and for a prior of another number of values.
    """
    count = len(particles)
    prior = Hierarchical(count, -6.3, 1.0, 0.5) if prior is None else prior
    extra = population_names(CONTACTS, particles, prior)
    edges, owners, parts = contacts_of(electrode, particles)
    skipped = len(extra)

    def law(values, network):
        shape = 0.25 * 10.0 ** -values[skipped:][owners] / parts
        for name in ("shape_tail", "shape_head"):
            old = jnp.asarray(getattr(network, name))
            part = jnp.where(old[edges] > 0, shape, 0.0)
            network = eqx.tree_at(
                lambda n, name=name: getattr(n, name), network, old.at[edges].set(part)
            )
        return network

    return Free(
        name=CONTACTS,
        prior=prior,
        where=lambda electrode: electrode.network,
        law=law,
        unit="log10(m)",
        components=(*extra, *particles),
        remark=PRODUCT_REMARK,
    )


def radii(
    electrode: diffelec.Electrode,
    particles: Sequence[str],
    prior: AbstractPrior | None = None,
) -> Free:
    """Radius of every particle named, log10(R/m); known to 10 % about the electrode's
    unless given. A recorded voltage says nothing of R itself: the prior speaks.

    Raises:
        ValueError: for a particle that is unknown, named twice or cut into sites.
    """
    numbers = numbers_of(electrode, particles)
    check_uncut("radius", electrode, numbers)
    if prior is None:
        now = np.log10(np.asarray(electrode.radius)[numbers])
        prior = Correlated(now, np.log10(1.1) * np.eye(len(numbers)))
    return Free(
        name="log10 radius",
        prior=prior,
        where=lambda electrode: electrode.radius,
        law=lambda values, old: jnp.asarray(old).at[numbers].set(10.0**values),
        unit="log10(m)",
        components=tuple(particles),
        remark=SCALE_REMARK,
    )


def clock(sd: float) -> Free:
    """Seconds by which the events' clock is ahead of the cycler's, N(0, `sd`)."""
    known = isinstance(sd, numbers.Real) or getattr(sd, "shape", None) == ()
    if not (known and 0 < sd < np.inf):
        raise ValueError(f"`sd` of the clock must be positive [s], but is {sd!r}.")
    prior = Independent(dist.Normal(0.0, float(sd)))
    return Free(name="clock offset", prior=prior, where=None, unit="s")
