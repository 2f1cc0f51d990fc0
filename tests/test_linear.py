"""A linear map is its function forwards and its told transpose backwards, in batches
too, and traces the one that is used.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffelec.linear import linear_map

MATRIX = jnp.asarray(np.random.default_rng(2).normal(size=(3, 4)))
SCALE = jnp.asarray(2.0)
INPUTS = (jnp.asarray([1.0, -2.0, 0.5, 3.0]), jnp.asarray(0.7))


def make(calls=None):
    """(x, y) -> (scale A x, y and the sum of x), as a map that counts its tracings."""
    calls = {"forward": 0, "backward": 0} if calls is None else calls

    def forward(residuals, inputs):
        calls["forward"] += 1
        (matrix, scale), (x, y) = residuals, inputs
        return {"product": scale * (matrix @ x), "sum": y + jnp.sum(x)}

    def backward(residuals, cotangents):
        calls["backward"] += 1
        (matrix, scale), total = residuals, cotangents["sum"]
        return scale * (cotangents["product"] @ matrix) + total, total

    def mapped(inputs, matrix=MATRIX, scale=SCALE):
        outputs = {"product": jnp.zeros(3), "sum": jnp.zeros(())}
        return linear_map(forward, backward, (matrix, scale), inputs, outputs)

    def plain(inputs, matrix=MATRIX, scale=SCALE):
        return forward((matrix, scale), inputs)

    return mapped, plain


def close(found, exact):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-13), found, exact
    )


@pytest.mark.parametrize("ask", [lambda f: f, jax.jit, jax.jacfwd, jax.jacrev])
def test_values_and_derivatives_are_those_of_the_function(ask):
    mapped, plain = make()
    close(ask(mapped)(INPUTS), ask(plain)(INPUTS))


@pytest.mark.parametrize("where", ["inputs", "residuals", "one of each"])
@pytest.mark.parametrize("mode", [jax.jacfwd, jax.jacrev])
def test_batches_are_those_of_the_function(where, mode):
    mapped, plain = make()
    x, y = INPUTS
    many = {
        "inputs": ((jnp.stack([x, 2 * x], axis=1), jnp.stack([y, y])), MATRIX, SCALE),
        "residuals": (INPUTS, jnp.stack([MATRIX, -MATRIX], axis=2), SCALE),
        "one of each": ((x, jnp.stack([y, 3 * y])), MATRIX, jnp.stack([SCALE, 5.0])),
    }[where]
    axes = {
        "inputs": ((1, 0), None, None),
        "residuals": (None, 2, None),
        "one of each": ((None, 0), None, 0),
    }[where]
    found = jax.vmap(mode(mapped), in_axes=axes)(*many)
    close(found, jax.vmap(mode(plain), in_axes=axes)(*many))


def test_an_input_may_stand_still():
    mapped, plain = make()
    of = lambda f: jax.grad(lambda x: jnp.sum(f((x, 0.0 * SCALE))["product"] ** 2))
    close(of(mapped)(INPUTS[0]), of(plain)(INPUTS[0]))


@pytest.mark.parametrize(
    ("ask", "used"), [(jax.jacfwd, "forward"), (jax.jacrev, "backward")]
)
def test_what_is_not_used_is_not_traced(ask, used):
    """In a derivative that the map is part of: the function is what moves it."""
    calls = {"forward": 0, "backward": 0}
    mapped, _ = make(calls)

    @jax.custom_jvp
    def function(x):
        return x[:3]

    @function.defjvp
    def _(primals, tangents):
        moved = mapped((tangents[0], jnp.zeros(())))
        return primals[0][:3], moved["product"]

    jax.make_jaxpr(ask(function))(INPUTS[0])
    jax.jit(ask(function))(INPUTS[0])
    other = {"forward": "backward", "backward": "forward"}[used]
    assert calls[used] > 0
    assert calls[other] == 0


def test_a_derivative_in_the_residuals_is_refused():
    mapped, _ = make()
    with pytest.raises(NotImplementedError, match="Residuals of a linear map"):
        jax.jvp(lambda s: mapped(INPUTS, scale=s)["sum"], (SCALE,), (SCALE,))
