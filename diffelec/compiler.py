"""How code for CPUs is made sooner: options of XLA, and tracing undisturbed."""

import contextlib
import functools
import gc
import os

import equinox as eqx
import jax
import jaxlib

_LEVEL, _EMITTERS = "xla_backend_optimization_level", "xla_cpu_use_fusion_emitters"
_WITH_EMITTERS = ("0.10.", "0.11.")  # versions of jaxlib that know it


def compiler_options(
    device: str | None = None, flags: str | None = None
) -> dict[str, bool | int]:
    """Options of `jax.jit` by which code for CPUs compiles sooner and runs as fast, or
    in batches faster (`benchmarks/emitters.py`); none for other devices.

        jax.jit(jax.grad(loss), compiler_options=diffelec.compiler_options())

    LLVM's second level of effort, and, where jaxlib has both, the older of two
    generations of code. `simulate` and `batch` use them where they compile by
    themselves; JAX takes options on the outermost `jax.jit` only.

    Args:
        device: kind of the devices, "cpu" or another; JAX's own unless given.
        flags: of XLA; what they set is left as it is. XLA_FLAGS unless given.
    """
    if (jax.default_backend() if device is None else device) != "cpu":
        return {}
    flags = os.environ.get("XLA_FLAGS", "") if flags is None else flags
    wanted = {_LEVEL: 2}
    # XLA ends a process at a flag that it does not know: versions are named.
    if jaxlib.__version__.startswith(_WITH_EMITTERS):
        wanted[_EMITTERS] = False
    return {name: value for name, value in wanted.items() if name not in flags}


def compiled(function):
    """`function` by `equinox.filter_jit` with `compiler_options`, which are asked for
    at its first call: to ask starts JAX's devices.
    """

    @functools.cache
    def made():
        return eqx.filter_jit(function, compiler_options=compiler_options())

    return lambda *arguments: made()(*arguments)


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
