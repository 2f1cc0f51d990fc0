"""What `simulate` refuses before it solves anything, and by which words."""

import dataclasses
import reprlib

import jax
import jax.numpy as jnp
import numpy as np

from ._typing import is_traced
from .checks import check_kind, check_whole, is_number
from .electrode import Electrode, check_values
from .protocol import Protocol
from .solver import AbstractFactors, Quiet, Tableau

_OF_CELL = ("maximum_concentration", "temperature", "one_c_range")
_OF_CELL += ("series_resistance", "counter_exchange_current")
_OF_PARTICLES = ("radius", "initial_stoichiometry", "multiplicity")
_OF_EDGES = ("series_resistance", "shape_tail", "shape_head")


def check_problem(electrode, protocol) -> None:
    """Raises ValueError unless there is something to solve."""
    a_preset = "such as `diffelec.presets.sharma2022()`"
    check_kind("electrode", electrode, Electrode, a_preset)
    by_strings = "by `diffelec.Protocol.from_strings([...])`"
    check_kind("protocol", protocol, Protocol, by_strings)
    _check_shapes(electrode)
    _check_steps(protocol)
    check_values(electrode)  # which were put in one by one, such as by `tree_at`


def _check_shapes(electrode: Electrode) -> None:
    """Raises ValueError for several electrodes in one, or numbers of other particles:
    also of those that a transformation holds, or that were put in one by one.
    """
    network = electrode.network
    particles = (network.topology.num_particles,)
    edges = (network.topology.num_edges,)
    pairs = (len(network.topology.exchange),)
    for owner, names, shapes in (
        (electrode, _OF_CELL, ((),)),
        (electrode, _OF_PARTICLES, (particles,)),
        (electrode, ("reactivity",), (particles, ())),
        (network, _OF_EDGES, (edges,)),
        (network, ("exchange_shape",), (pairs,) if pairs[0] else (pairs, ())),
    ):
        for name in names:
            shape = np.shape(getattr(owner, name))
            if shape not in shapes:
                raise ValueError(
                    f"`{name}` must have the shape {shapes[0]} in an electrode of "
                    f"{particles[0]} particles and {edges[0]} edges, but has {shape}; "
                    "to simulate several electrodes, use `diffelec.batch`."
                )


def _check_steps(protocol: Protocol) -> None:
    """Raises ValueError for several protocols in one, or numbers of other steps, which
    JAX would leave out, or take those of the last step for.
    """
    several = "to simulate several protocols, use `diffelec.batch`."
    for name, value in vars(protocol.rows).items():
        if np.shape(value) != (protocol.num_steps,):
            raise ValueError(
                f"`rows.{name}` of a protocol must have one number for each of "
                f"{protocol.num_steps} steps, but has the shape {np.shape(value)}; "
                f"{several}"
            )
        _check_numbers_of_steps(name, value, protocol.texts)
    if protocol.drive is None:
        return
    time, value = np.shape(protocol.drive.time), np.shape(protocol.drive.value)
    if len(time) != 1 or value != time:
        raise ValueError(
            "A recorded series must be one list of values at as many instants, but has "
            f"the shapes {value} and {time}; {several}"
        )


def _check_numbers_of_steps(name: str, values, texts) -> None:
    """Raises ValueError for what is no number, or for a step that takes no time."""
    if is_traced(values):
        return
    for text, value in zip(texts, np.asarray(values).tolist(), strict=True):
        if not (value > 0 if name == "duration" else value == value):  # not NaN
            must = "be above 0 [s]" if name == "duration" else "hold numbers"
            raise ValueError(
                f"`rows.{name}` of a protocol must {must}, but of '{text}' is {value}."
            )


def check_precision(dtype) -> None:
    """Raises ValueError for a precision that JAX does not run in."""
    double = jax.config.jax_enable_x64
    try:
        kind = np.dtype(dtype)
    except TypeError:
        kind = repr(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(
            f"`dtype` must be float64 or float32, but is {kind}; leave it out."
        )
    if kind == np.float64 and not double:
        raise ValueError(
            "`simulate` computes in float64, but JAX runs in single precision; call "
            "jax.config.update('jax_enable_x64', True) first, or pass "
            "dtype=jax.numpy.float32 for screening."
        )
    if kind == np.float32 and double:
        raise ValueError(
            "`dtype` must be float64 where JAX runs in double precision, whose "
            "constants would bring it back, but is float32; leave jax_enable_x64 off "
            "in a program that screens in float32."
        )


_precisions: list[str] = []  # that this process has solved in: one, once it has


def check_one_precision(dtype) -> None:
    """Raises ValueError for another precision than that of the first solve: what JAX
    makes of an array of NumPy in one, it keeps, and takes it for the other's, also
    after jax.clear_caches().
    """
    kind = np.dtype(dtype).name
    if not _precisions:
        _precisions.append(kind)
    if kind != _precisions[0]:
        raise ValueError(
            f"`dtype` must be {_precisions[0]} in a process that has solved in it, "
            f"since JAX keeps what it made of arrays then, but is {kind}; solve in "
            "each precision in a process of its own."
        )


def check_numbers(rtol, atol, num_saved, max_steps) -> None:
    """Raises ValueError for tolerances and counts that cannot be."""
    for name, value in (("rtol", rtol), ("atol", atol)):
        unset = value is None and name == "atol"
        if not unset and not (is_number(value) and 0 < value < 1):
            raise ValueError(f"`{name}` must lie between 0 and 1, but is {value!r}.")
    check_whole("num_saved", num_saved, 2)
    check_whole("max_steps", max_steps, 1)


def check_ways(method, network_solver) -> None:
    """Raises ValueError for what neither integrates nor solves."""
    if not isinstance(method, Tableau):
        raise ValueError(
            "`method` must be `diffelec.solver.RODAS4P2` or `RODAS5P`, but is "
            f"{method!r}."
        )
    factors = isinstance(network_solver, type)
    if network_solver is not None and not (
        factors and issubclass(network_solver, AbstractFactors)
    ):
        raise ValueError(
            "`network_solver` must be None, or `diffelec.solver.DenseLU`, `SparseLU` "
            f"or `Krylov`, but is {network_solver!r}."
        )


def as_meter(meter):
    """A progress meter; ValueError for what is none."""
    if meter is None:
        return Quiet()
    import diffrax  # not before somebody gives one

    if not isinstance(meter, diffrax.AbstractProgressMeter):
        raise ValueError(
            "`meter` must be a diffrax progress meter such as "
            f"`diffrax.TqdmProgressMeter()`, but is {meter!r}."
        )
    return Quiet() if isinstance(meter, diffrax.NoProgressMeter) else meter


def as_instants(times, dtype):
    """Instants [s] as an array; ValueError unless they are a list of numbers."""
    leaves = jax.tree.leaves(times)
    known = not is_traced(times)
    try:
        if any(np.iscomplexobj(leaf) for leaf in leaves):
            raise TypeError  # of an array the imaginary part would be left out
        if known and np.asarray(times).dtype.kind in "mM":
            raise TypeError  # dates, of which the unit would be left out
        if isinstance(times, np.ma.MaskedArray):
            times = times.astype(dtype).filled(np.nan)
        instants = (np if known else jnp).asarray(times, dtype)  # cheaper on the host
    except (TypeError, ValueError):
        raise ValueError(
            f"`times` must be numbers [s], but are {times!r}; pass a list of them, "
            "of dates the seconds since the start of the protocol."
        ) from None
    if instants.ndim != 1:
        raise ValueError(
            "`times` must be one list of instants [s], but have the shape "
            f"{instants.shape}; pass a list, of one instant too."
        )
    if known and np.any(np.isnan(instants)):
        raise ValueError(
            f"`times` must be numbers [s], but number {np.argmax(np.isnan(instants))} "
            "(from 0) is none; leave it out."
        )
    return instants


def in_precision(problem, dtype):
    """A pytree of numbers with leaves of one type; ValueError for other leaves."""

    def leaf_of(path, leaf):
        if not hasattr(leaf, "dtype") and not is_number(leaf):
            place = jax.tree_util.keystr(path[1:])
            raise ValueError(
                f"`{'electrode' if path[0].idx == 0 else 'protocol'}{place}` must hold "
                f"numbers, but is {reprlib.repr(leaf)}; declare what is none by "
                "`equinox.field(static=True)` (of a neural network, what is no array "
                "by `equinox.partition`)."
            )
        return jnp.asarray(leaf, dtype)

    return jax.tree_util.tree_map_with_path(leaf_of, problem)


def check_laws(electrode: Electrode) -> None:
    """Raises ValueError for a curve that is not finite, or not positive but for the
    potential, somewhere.
    """
    x = np.linspace(0.001, 0.999, 999)
    for field in dataclasses.fields(electrode.curves):
        curve = getattr(electrode.curves, field.name)
        values = np.broadcast_to(curve(jnp.asarray(x)), x.shape)
        known, due = np.isfinite(values), "finite"
        if field.name != "open_circuit_potential":
            known, due = known & (values > 0), "positive and finite"
        wrong = np.flatnonzero(~known)
        if wrong.size:
            raise ValueError(
                f"`{field.name}` must be {due} at every stoichiometry, but is "
                f"{values[wrong[0]]:.3g} at x = {x[wrong[0]]:.3f}; correct the curve."
            )
