"""How code for CPUs is made sooner: options of XLA, and tracing undisturbed."""

import contextlib
import functools
import gc
import importlib.util
import os
import types

import equinox as eqx
import jax
import jaxlib
import numpy as np

_LEVEL, _EMITTERS = "xla_backend_optimization_level", "xla_cpu_use_fusion_emitters"
# A loop over the sites of a few particles that LLVM writes out in full is left without
# vectors, and takes it longer. Of loops that are left, its third level alone takes out
# what does not change within them: which row it is.
_EXTRA, _ROLLED = "xla_backend_extra_options", "-unroll-full-max-count=7"
# Of what does not change in a loop, what matters is written outside of it. To look for
# more, loop within loop, is an eighth or more of compiling a charge, which gets no
# faster; of a gradient it is a twentieth, and makes that 2 % faster.
_LEFT_OUT, _HOISTING = "xla_disable_hlo_passes", "while-loop-invariant-code-motion"
_KNOWN = ("0.10.", "0.11.")  # versions of jaxlib that have these


def compiler_options(
    device: str | None = None, flags: str | None = None, *, plain: bool = False
) -> dict[str, bool | int | str]:
    """Options of `jax.jit` by which code for CPUs compiles sooner and runs as fast, or
    in batches faster (`benchmarks/emitters.py`); none for other devices.

        jax.jit(jax.grad(loss), compiler_options=diffelec.compiler_options())

    LLVM's second level of effort, the third where `set_compiler` is called, and, where
    jaxlib has both, the older of two generations of code. `simulate` and `batch` use
    them where they compile by themselves; JAX takes options on the outermost `jax.jit`
    only.

    Args:
        device: kind of the devices, "cpu" or another; JAX's own unless given.
        flags: of XLA; what they set is left as it is. XLA_FLAGS unless given.
        plain: for functions that take no derivatives, which compile sooner still
            without XLA's search for what does not change in a loop.
    """
    if (jax.default_backend() if device is None else device) != "cpu":
        return {}
    flags = os.environ.get("XLA_FLAGS", "") if flags is None else flags
    wanted: dict[str, bool | int | str] = {_LEVEL: 2}
    # XLA ends a process at a flag that it does not know: versions are named.
    if jaxlib.__version__.startswith(_KNOWN):
        wanted |= {_EMITTERS: False} | ({_LEFT_OUT: _HOISTING} if plain else {})
    return {name: value for name, value in wanted.items() if name not in flags}


def set_compiler(environment=os.environ) -> None:
    """Adds to XLA_FLAGS what `compiler_options` gives and, which no `jax.jit` takes as
    an option, that LLVM leaves loops over sites as loops.

        diffelec.set_compiler()

    as a program's first line after its imports: JAX reads these flags once, when it
    starts. They hold for all that this process compiles, and those that it starts; so
    does the command line. A solve or a gradient then takes a fifth less time, and
    a first call as long (`benchmarks/emitters.py`). Where accelerators are, whose code
    they would reach, only those that are for CPUs alone are added.
    """
    flags = environment.get("XLA_FLAGS", "")
    wanted = compiler_options("cpu", flags)
    if jaxlib.__version__.startswith(_KNOWN) and _EXTRA not in flags:
        wanted |= {_EXTRA: _ROLLED} | ({_LEVEL: 3} if _LEVEL in wanted else {})
    if importlib.util.find_spec("jax_plugins"):  # where JAX's accelerators come from
        wanted = {k: v for k, v in wanted.items() if k.startswith("xla_cpu")}
    own = [f"--{name}={str(value).lower()}" for name, value in wanted.items()]
    if own:
        environment["XLA_FLAGS"] = " ".join([flags, *own]).strip()


def compiled(function, *, plain: bool = False):
    """`function` under `jax.jit` with `compiler_options`, which are asked for at its
    first call: to ask starts JAX's devices. What was compiled is kept for the next
    time that the same function is given. `plain` as in `compiler_options`.

    Functions that hold arrays, and arguments that hold what is no array, are left to
    `equinox.filter_jit`: to look for these costs a call as much as all else that JAX
    does for it.
    """

    def call(*arguments):
        of_arrays, of_any = _compilers(plain)
        leaves, structure = jax.tree.flatten(arguments)
        pure = isinstance(function, types.FunctionType)
        if not pure or not all(isinstance(x, np.ndarray | jax.Array) for x in leaves):
            return of_any(function)(*arguments)
        try:
            return jax.block_until_ready(of_arrays(function, structure, *leaves))
        except jax.errors.JaxRuntimeError as error:
            if "EquinoxRuntimeError" not in str(error):
                raise  # of memory, say
            return of_any(function)(*arguments)  # which words what it raises again

    return call


@functools.cache
def _compilers(plain: bool):
    """What compiles functions of arrays, and what compiles any."""
    options = compiler_options(plain=plain)
    of_arrays = jax.jit(_applied, static_argnums=(0, 1), compiler_options=options)
    return of_arrays, functools.partial(eqx.filter_jit, compiler_options=options)


def _applied(function, structure, *leaves):
    return function(*jax.tree.unflatten(structure, leaves))


@contextlib.contextmanager
def uncollected():
    """Holds off the garbage collector, which while JAX traces goes again and again
    through all that was imported: a twentieth of a first call.
    """
    were = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if were:
            gc.enable()
