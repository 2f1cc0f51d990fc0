"""An accepted step computed once more, for tangents and cotangents along a march."""

import dataclasses
from functools import partial
from typing import NamedTuple

import jax

from .accepted import Steps
from .bordered import BorderedJacobian, Factorised
from .parts import Parts
from .pull import LookedUp, Model
from .rosenbrock import stages_of

_OF_JACOBIAN = ("lower", "diagonal", "upper", "drive", "surface")
_OF_JACOBIAN += ("edge_tail", "edge_head", "conductance", "reaction", "control")
_OF_JACOBIAN += ("exchange",)


class Again(NamedTuple):
    """What a step computed, computed again."""

    jacobian: BorderedJacobian
    factorised: Factorised
    stages: Parts
    states: Parts
    looked: LookedUp

    @staticmethod
    def of(model: Model, step: Steps) -> "Again":
        """One accepted step, forwards."""
        time, size, start = step
        tableau, system = model.tableau, model.whole
        jacobian = system.jacobian(time, start)
        factorised = jacobian.factorised(1.0 / (size * tableau.gamma))
        solve = factorised.solve
        stages, states, _ = stages_of(system, tableau, time, size, start, solve)

        look_up = lambda columns: LookedUp.of(system, columns)
        mapped = partial(jax.lax.map, look_up) if system.serial else jax.vmap(look_up)
        looked = mapped(states.columns)
        return Again(jacobian, factorised, stages, states, looked)

    @property
    def looked_at_start(self) -> LookedUp:
        """What the first stage looked up, and the Jacobian."""
        return jax.tree.map(lambda leaf: leaf[0], self.looked)

    def product(self, shown: dict, value: Parts) -> Parts:
        """J v of a Jacobian with other numbers."""
        return dataclasses.replace(self.jacobian, **shown).product(value)


def numbers_of(jacobian: BorderedJacobian) -> dict:
    """The numbers of a Jacobian that have derivatives, by name."""
    return {name: getattr(jacobian, name) for name in _OF_JACOBIAN}


def at_start(time):
    """The function of (system, state) that gives, at the start of a step, the numbers
    of its Jacobian and the slope of its control in time.
    """

    def begun(system, state):
        slope = system.time_slope(time, state).algebraic[-1]
        return numbers_of(system.jacobian(time, state)), slope

    return begun
