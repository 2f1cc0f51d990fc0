"""The curves of an electrode, raised or lowered as a whole."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffelec import curves

CURVES = ("conductivity", "diffusivity", "rate_constant")
"""Curves of an electrode that a fit may change."""

# Fields by which diffelec's own curves are scaled, and stay of their class.
_LOGARITHMS = {
    curves.PchipCurve: ("log10_values",),
    curves.RoundedLinearCurve: ("log10_values",),
    curves.SigmoidCurve: ("log10_delithiated", "log10_lithiated"),
}
_VALUES = {
    curves.ConstantCurve: ("value",),
    curves.DivacancyCurve: ("prefactor", "floor"),
}


class ScaledCurve(curves.AbstractCurve):
    r"""Any curve y(x), raised as a whole: $$ 10^s\, y(x) $$.

    Attributes:
        curve: y, with its unit, source and range.
        decades: s.
    """

    curve: curves.AbstractCurve
    decades: Float[Array, ""] = eqx.field(converter=jnp.asarray)

    def __call__(self, stoichiometry):
        return self.curve(stoichiometry) * 10.0**self.decades

    @property
    def unit(self) -> str:
        return self.curve.unit

    @property
    def source(self) -> str:
        return self.curve.source

    @property
    def valid_range(self):
        return self.curve.valid_range

    @staticmethod
    def example() -> "ScaledCurve":
        return ScaledCurve(curves.DivacancyCurve.example(), 0.3)


def scaled_curve(
    curve: curves.AbstractCurve, decades: Float[Array, ""] | float
) -> curves.AbstractCurve:
    """The same curve times ten to the power `decades`; of the same class where that is
    one of diffelec's; a `ScaledCurve` of any other.
    """
    for name in _LOGARITHMS.get(type(curve), ()):
        curve = _with(curve, name, getattr(curve, name) + decades)
    for name in _VALUES.get(type(curve), ()):
        curve = _with(curve, name, getattr(curve, name) * 10.0**decades)
    if type(curve) in _LOGARITHMS | _VALUES:
        return curve
    return ScaledCurve(curve, decades)


def _with(curve, name: str, value):
    return eqx.tree_at(lambda c: getattr(c, name), curve, value)


def check_curve(name: str) -> None:
    """Raises ValueError for what is none of `CURVES`."""
    if name not in CURVES:
        raise ValueError(
            f"`curve` must be one of {', '.join(map(repr, CURVES))}, but is {name!r}."
        )
