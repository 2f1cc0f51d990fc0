"""Options that code for CPUs is compiled with, and the garbage collector's rest."""

import gc
import os
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from diffelec import compiler
from diffelec.compiler import compiled, uncollected

LEVEL, EMITTERS = "xla_backend_optimization_level", "xla_cpu_use_fusion_emitters"
PLAIN = """
import jax, jax.numpy as jnp, numpy as np, equinox as eqx
jax.config.update("jax_enable_x64", True)
import diffelec
assert diffelec.compiler_options()
electrode = diffelec.presets.sharma2022(obstructions=(0, 1), num_shells=4)
hour = diffelec.Protocol.from_strings(["Charge at C/10 for 1 hour"])

def voltage(factor):
    radius = factor * jnp.asarray(electrode.radius)
    moved = eqx.tree_at(lambda e: e.radius, electrode, radius)
    return diffelec.simulate(moved, hour, rtol=1e-3, num_saved=2).voltage[-1]

alone = diffelec.simulate(electrode, hour, rtol=1e-3, num_saved=2).voltage[-1]
options = diffelec.compiler_options()
value, slope = jax.jit(jax.value_and_grad(voltage), compiler_options=options)(1.0)
np.testing.assert_allclose(value, alone, rtol=1e-9)
np.testing.assert_allclose(jax.grad(voltage)(1.0), slope, rtol=1e-9)
two = diffelec.Protocol.from_strings(["Rest for 1 hour", "Charge at C/10 for 1 hour"])
for protocol in (hour, two):  # of which a program that compiles makes constants

    def scaled(factor):
        found = diffelec.simulate(electrode, protocol, rtol=1e-3, num_saved=2)
        return factor * found.voltage[-1]

    np.testing.assert_allclose(jax.jit(scaled)(2.0), scaled(2.0), rtol=1e-9)

def at_instants(times):
    found = diffelec.simulate(electrode, hour, rtol=1e-3, times=times)
    return found.voltage[1]

at = jnp.array([0.0, 1800.0])
up, down = (at_instants(at.at[1].add(by)) for by in (1.0, -1.0))
slopes = jax.grad(at_instants)(at)  # of instants alone
np.testing.assert_allclose(slopes, [0.0, (up - down) / 2.0], rtol=1e-4)
both = diffelec.batch(voltage, np.array([1.0, 1.1]))
np.testing.assert_allclose(both[0], alone, rtol=1e-9)
"""


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """A version of jaxlib that knows both options, and no flags of the user."""
    monkeypatch.setattr(compiler.jaxlib, "__version__", "0.11.3")
    monkeypatch.delenv("XLA_FLAGS", raising=False)


def test_options_are_those_for_cpus():
    assert diffelec.compiler_options() == {LEVEL: 2, EMITTERS: False}


def test_plain_functions_are_compiled_without_a_search_in_loops(monkeypatch):
    option = {"xla_disable_hlo_passes": "while-loop-invariant-code-motion"}
    found = diffelec.compiler_options(plain=True)
    assert found == {LEVEL: 2, EMITTERS: False} | option
    monkeypatch.setenv("XLA_FLAGS", "--xla_disable_hlo_passes=dce")
    assert diffelec.compiler_options(plain=True) == {LEVEL: 2, EMITTERS: False}
    monkeypatch.setattr(compiler.jaxlib, "__version__", "0.12.0")
    assert diffelec.compiler_options(plain=True) == {LEVEL: 2}


def test_options_that_a_version_does_not_know_are_left_out(monkeypatch):
    monkeypatch.setattr(compiler.jaxlib, "__version__", "0.12.0")
    assert diffelec.compiler_options() == {LEVEL: 2}


def test_flags_of_the_user_are_left_as_they_are(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--{LEVEL}=3")
    assert diffelec.compiler_options() == {EMITTERS: False}


def test_other_devices_get_no_options(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert diffelec.compiler_options() == {}
    assert diffelec.compiler_options("cpu") == {LEVEL: 2, EMITTERS: False}


def test_flags_are_set_where_the_user_has_not_and_jaxlib_knows_them(monkeypatch):
    level, effort, older, rolled = (
        "--xla_backend_optimization_level=2",
        "--xla_backend_optimization_level=3",
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_backend_extra_options=-unroll-full-max-count=7",
    )
    plugins = {"jax_plugins": None}
    monkeypatch.setattr(compiler.importlib.util, "find_spec", plugins.get)

    def flags(before):
        own = dict(before)
        diffelec.set_compiler(own)
        return own.get("XLA_FLAGS", "").split()

    assert flags({}) == [effort, older, rolled]
    assert flags({"XLA_FLAGS": "--a=1"}) == ["--a=1", effort, older, rolled]
    own = "--xla_backend_extra_options=-a"  # with which the third level was not tried
    assert flags({"XLA_FLAGS": own}) == [own, level, older]
    chosen = (
        "--xla_cpu_use_fusion_emitters=true --xla_backend_optimization_level=0 "
        "--xla_backend_extra_options=-unroll-count=2"
    )
    assert flags({"XLA_FLAGS": chosen}) == chosen.split()
    # Has no such flags, at which it would end the process.
    monkeypatch.setattr(compiler.jaxlib, "__version__", "0.12.0")
    assert flags({}) == [level]
    plugins["jax_plugins"] = "found"
    assert flags({}) == []
    monkeypatch.setattr(compiler.jaxlib, "__version__", "0.11.3")
    assert flags({}) == [older]


def test_options_hold_in_every_way_to_call():
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PLAIN]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_is_no_array_is_compiled_in():
    seen = []

    def applied(law, x):
        seen.append(law)
        return law(x), x

    twice = lambda x: 2 * x
    run = compiled(applied)
    for x in (1.0, 2.0):
        found = run(twice, np.asarray(x))
        assert [float(y) for y in found] == [2 * x, x]
    assert seen == [twice]  # traced once


@pytest.mark.parametrize("hold", [lambda f: f, lambda f: eqx.Partial(f, 2.0)])
def test_what_was_compiled_is_kept_for_the_same_function(hold):
    seen = []

    def scaled(*numbers):
        seen.append(numbers)
        return numbers[-1] * 2.0

    function = hold(scaled)
    for _ in range(2):
        diffelec.batch(function, np.arange(3.0), executor="threads")
        diffelec.batch(function, np.arange(3.0), executor="vectorised", chunk=3)
    assert len(seen) == 2


def test_what_transforms_a_solve_but_compiles_nothing_has_it_traced_once(monkeypatch):
    traced, module = [], sys.modules["diffelec.simulate"]
    electrode = diffelec.presets.sharma2022(obstructions=(0,), num_shells=5)
    two = diffelec.Protocol.from_strings(["Charge at C/10 for 1 hour"] * 2)

    def noting(*arguments, **named):
        traced.append(arguments)
        return integrate_step(*arguments, **named)

    integrate_step = module.integrate_step
    monkeypatch.setattr(module, "integrate_step", noting)

    def voltage(factor):
        radius = factor * jnp.asarray(electrode.radius)
        moved = eqx.tree_at(lambda e: e.radius, electrode, radius)
        return diffelec.simulate(moved, two, rtol=1e-3, num_saved=2).voltage[-1]

    slopes = []
    for factor in (1.0, 1.1, 1.2):
        slopes.append(float(jax.grad(voltage)(factor)))
        assert len(traced) == 1
    np.testing.assert_allclose(
        jax.vmap(jax.jacfwd(voltage))(jnp.array([1.1])), slopes[1:2]
    )
    assert len(traced) == 1
    assert len(set(slopes)) == 3


def test_an_error_of_a_law_is_told_in_its_words():
    def checked(x):
        return eqx.error_if(x, x < 0, "a diffusivity below 0", on_error="raise")

    run = compiled(checked)
    assert run(np.asarray(1.0)) == 1.0
    with pytest.raises(RuntimeError, match=r"equinox\.EquinoxRuntimeError: a diffusiv"):
        run(jnp.asarray(-1.0))


def test_an_error_of_the_machine_is_raised_at_once():
    tried = []

    def out_of_memory(x):
        tried.append(x)
        raise MemoryError("none left")

    run = compiled(lambda x: jax.pure_callback(out_of_memory, x, x))
    with pytest.raises(RuntimeError, match="none left"):
        run(np.asarray(1.0))
    assert len(tried) == 1


def test_the_collector_rests_while_a_solve_is_traced_and_goes_on_after(monkeypatch):
    seen = []

    def noting(*arguments):
        seen.append(gc.isenabled())
        raise ArithmeticError("enough")

    monkeypatch.setattr(sys.modules["diffelec.simulate"], "_eager", noting)
    electrode = diffelec.presets.sharma2022(obstructions=(0,), num_shells=4)
    hour = diffelec.Protocol.from_strings(["Charge at C/10 for 1 hour"])
    with pytest.raises(ArithmeticError):
        diffelec.simulate(electrode, hour)
    assert gc.isenabled()
    with uncollected(), pytest.raises(ArithmeticError):
        diffelec.simulate(electrode, hour)
    assert seen == [False, False]
    assert gc.isenabled()
