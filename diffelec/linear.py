"""Linear maps that come with their transposes, traced only where they are used.

Reverse mode needs of a tangent no more than its transpose, forward mode no more than
itself: of a solve, either takes a second to trace. `jax.custom_derivatives.linear_call`
traces the map itself in both, and does not batch.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

_map = Primitive("linear_map")
_map.multiple_results = True


def linear_map(forward: Callable, backward: Callable, residuals, inputs, outputs):
    """forward(residuals, inputs), linear in the inputs, transposed by
    backward(residuals, cotangents).

    Args:
        forward: of (residuals, inputs), pytrees of arrays. It may not hold arrays of a
            transformation, which travel as residuals.
        backward: of (residuals, cotangents of the outputs), as `forward`.
        residuals: what both depend on; without derivative.
        inputs: pytree of floating arrays.
        outputs: pytree of arrays of the shapes and types that `forward` gives.
    """
    fixed, of_residuals = jax.tree.flatten(residuals)
    moving, of_inputs = jax.tree.flatten(inputs)
    given, of_outputs = jax.tree.flatten(outputs)

    def ahead(fixed, moving):
        found = forward(of_residuals.unflatten(fixed), of_inputs.unflatten(moving))
        return jax.tree.leaves(found)

    def back(fixed, cotangents):
        given = of_outputs.unflatten(cotangents)
        return jax.tree.leaves(backward(of_residuals.unflatten(fixed), given))

    shapes = tuple(ShapedArray(leaf.shape, leaf.dtype) for leaf in given)
    settings = {"ahead": ahead, "back": back, "count": len(fixed), "shapes": shapes}
    return of_outputs.unflatten(_map.bind(*fixed, *moving, **settings))


@_map.def_impl
def _apply(*arguments, ahead, count, **_):
    return ahead(list(arguments[:count]), list(arguments[count:]))


@_map.def_abstract_eval
def _shapes(*_, shapes, **__):
    return list(shapes)


def _tangent(primals, tangents, *, count, **settings):
    """Of the inputs."""
    if not all(type(tangent) is ad.Zero for tangent in tangents[:count]):
        raise NotImplementedError("Residuals of a linear map have no derivative.")
    fixed, moving = primals[:count], map(ad.instantiate_zeros, tangents[count:])
    settings["count"] = count
    return _map.bind(*primals, **settings), _map.bind(*fixed, *moving, **settings)


def _transpose(cotangents, *arguments, back, count, **_):
    fixed, moving = arguments[:count], arguments[count:]
    found = back(list(fixed), list(map(ad.instantiate_zeros, cotangents)))
    wanted = [
        value if ad.is_undefined_primal(place) else None
        for value, place in zip(found, moving, strict=True)
    ]
    return [None] * count + wanted


def _batch(arguments, axes, *, ahead, back, count, shapes):
    """All inputs are batched where something is; residuals as they are."""
    pairs = list(zip(arguments, axes, strict=True))
    size = next(leaf.shape[axis] for leaf, axis in pairs if axis is not None)
    fixed = [
        leaf if a is None else jnp.moveaxis(leaf, a, 0) for leaf, a in pairs[:count]
    ]
    moving = [batching.bdim_at_front(leaf, a, size) for leaf, a in pairs[count:]]
    places = [None if axis is None else 0 for axis in axes[:count]]
    each = partial(jax.vmap, in_axes=(places, 0), axis_size=size)
    many = tuple(ShapedArray((size, *s.shape), s.dtype) for s in shapes)
    settings = {"ahead": each(ahead), "back": each(back), "count": count}
    found = _map.bind(*fixed, *moving, **settings, shapes=many)
    return found, [0] * len(found)


ad.primitive_jvps[_map] = _tangent
ad.primitive_transposes[_map] = _transpose
batching.primitive_batchers[_map] = _batch
mlir.register_lowering(_map, mlir.lower_fun(_apply, multiple_results=True))
