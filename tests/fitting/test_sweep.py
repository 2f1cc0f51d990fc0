"""Sweeps: what is varied, lanes as simulated alone, chunks that processes share."""

import contextlib
import dataclasses
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import diffelec
from fitting import (
    chunks,
    quantities,
    results,
    sweep,
    sweep_files,
)

from . import shared_sweep

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def made_up(monkeypatch):
    """A sweep whose simulations are a closed form."""
    monkeypatch.setattr(sweep, "_lane_of", shared_sweep.closed_form)
    return shared_sweep.made_up()


def test_a_grid_has_every_combination_the_last_one_fastest():
    ranges = [quantities.parsed("radius=0.1:10:3"), quantities.parsed("current=1:2:2")]
    decades = np.log10(2.0)
    expected = [[a, b] for a in (-1.0, 0.0, 1.0) for b in (0.0, decades)]
    np.testing.assert_allclose(sweep.grid(ranges), expected, atol=1e-15)


def test_one_value_of_a_range_is_its_middle():
    texts = "radius=0.1:10:1", "temperature=290:310:1", "current=2:2:1"
    expected = [[0.0, 300.0, np.log10(2.0)]]
    found = sweep.grid([quantities.parsed(text) for text in texts])
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_draws_are_even_over_ranges_and_begin_alike_in_a_longer_run():
    electrode = diffelec.presets.single_particle()
    texts = "radius=0.1:10", "temperature=301:303"
    ranges = [quantities.parsed(text) for text in texts]
    space = sweep.space_of(electrode, ranges, ["diffusivity"])
    few, many = sweep.draws(space, 20, seed=4), sweep.draws(space, 300, seed=4)
    np.testing.assert_array_equal(few, many[:20])
    assert np.abs(few - sweep.draws(space, 20, seed=5)).min() > 0
    shares = (many[:, 0] + 1.0) / 2.0, (many[:, 1] - 301.0) / 2.0
    for share in shares:
        counts = np.histogram(share, bins=4, range=(0, 1))[0]
        assert counts.sum() == 300
        assert counts.min() > 50  # 75 expected, 7.5 standard deviation
    table = electrode.curves.diffusivity.log10_values
    assert space.size == 2 + len(table)
    # Known to 0.5 decades at most; 300 draws know their mean to a 17th of it.
    np.testing.assert_allclose(many[:, 2:].mean(axis=0), table, atol=0.12)
    assert many[:, 2:].std(axis=0).min() > 0.1


@pytest.mark.parametrize(
    ("name", "curve"),
    [
        ("conductivity", "conductivity"),
        ("diffusivity", "diffusivity"),
        ("exchange-current", "rate_constant"),
    ],
)
def test_a_factor_on_a_curve_whose_knots_are_drawn_is_refused(name, curve):
    electrode = diffelec.presets.single_particle()
    ranges = [quantities.parsed(f"{text}=0.1:10") for text in ("radius", name)]
    words = f"drop the range of '{name}' or the knots of '{curve.replace('_', '-')}'"
    with pytest.raises(ValueError, match=words):
        sweep.space_of(electrode, ranges, [curve])
    other = "diffusivity" if curve == "conductivity" else "conductivity"
    assert sweep.space_of(electrode, ranges, [other]).size > 2


@pytest.mark.parametrize("name", ["radius", "contact-radius"])
def test_what_edges_within_cut_particles_depend_on_is_refused(name):
    """A factor does not reach them: they are the bulk, and contacts spread in them."""
    chain = diffelec.graphs.chain(2)
    cut = diffelec.resolve(chain, 5e-6, {"p1": diffelec.bodies.slices(4, (0, 1, 0))})
    ranges = [quantities.parsed(f"{text}=0.5:2:3") for text in ("current", name)]
    words = f"'{name}' must be of particles that are not cut .* 'p1' is cut into 4,"
    with pytest.raises(ValueError, match=words):
        sweep.space_of(diffelec.presets.electrode_of(cut), ranges)
    assert sweep.space_of(diffelec.presets.electrode_of(chain), ranges).size == 2
    assert sweep.space_of(diffelec.presets.electrode_of(cut), ranges[:1]).size == 1


def test_lanes_are_what_simulations_alone_say():
    electrode = diffelec.presets.single_particle(num_shells=8)
    protocol = diffelec.Protocol.from_strings(
        ["Charge at C/10 until 4.2 V", "Discharge at C/10 for 1 hour"]
    )
    ranges = [quantities.parsed("initial-stoichiometry=0.3:0.9:2")]
    asked = sweep.Sweep(
        *(electrode, protocol, sweep.space_of(electrode, ranges)),
        sweep.grid(ranges),
        rtol=1e-5,
    )
    lane = jax.jit(sweep._lane_of(asked))
    begun_beyond, whole = (lane(jnp.asarray(v)) for v in asked.values)
    own = dataclasses.replace(electrode, initial_stoichiometry=np.array([0.9]))
    alone = diffelec.simulate(own, protocol, rtol=1e-5, num_saved=2)
    levels, changes = results.crossing_times(alone)
    np.testing.assert_allclose(whole.levels, levels, rtol=1e-9)
    np.testing.assert_allclose(whole.changes, changes, rtol=1e-9)
    np.testing.assert_allclose(whole.capacity, alone.step_capacities, rtol=1e-9)
    assert whole.num_steps == alone.num_steps[:, 0].sum()
    assert not whole.failed
    assert begun_beyond.failed
    assert np.isnan(begun_beyond.changes).all()
    assert "is already passed at its start" in sweep.message_of(begun_beyond.outcome)
    assert sweep.message_of(whole.outcome) == "successful"


def test_an_interrupted_sweep_goes_on_with_what_is_missing(made_up, tmp_path):
    whole, store = chunks.Store(tmp_path / "whole"), chunks.Store(tmp_path / "part")
    sweep.begin(whole, made_up, resume=False, join=False)
    expected = sweep.advance(whole, made_up)
    sweep.begin(store, made_up, resume=False, join=False)
    told = []

    def stop(done):
        told.append(done)
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep.advance(store, made_up, callback=stop)
    assert sweep.collected(store, made_up) is None
    there = {path: path.stat().st_mtime_ns for path in store.folder.glob("*.npz")}
    assert len(there) == 4
    sweep.begin(store, made_up, resume=True, join=False)
    found = sweep.advance(store, made_up, callback=told.append)
    assert told[-1] == 23
    assert all(path.stat().st_mtime_ns == time for path, time in there.items())
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_processes_share_a_sweep_though_one_is_killed(tmp_path):
    folder = tmp_path / "chunks"
    environment = dict(os.environ) | {"PYTHONPATH": str(ROOT), "NPROC": "1"}
    command = [sys.executable, "-m", "tests.fitting.shared_sweep", str(folder), "3"]
    # Its files are the manifest, a chunk, and one that it dies in.
    started = [
        subprocess.Popen([*command, *words], env=environment, cwd=ROOT)
        for words in (["3"], [], [])
    ]
    assert [process.wait(timeout=300) for process in started] == [-9, 0, 0]
    assert len(list(folder.glob("*.part"))) == 1
    many = shared_sweep.many()
    found = sweep.collected(chunks.Store(folder), many)
    alone = shared_sweep.closed_form(many)
    for k, values in enumerate(many.values):
        one = alone(jnp.asarray(values))
        for leaf, other in zip(found, one, strict=True):
            np.testing.assert_allclose(leaf[k], other, rtol=1e-13)


def test_chunks_that_others_work_on_are_left_to_them(made_up, tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    sweep.begin(store, made_up, resume=False, join=True)
    with store.claim("000003") as mine:
        assert mine
        assert sweep.advance(store, made_up) is None
    assert len(list(store.folder.glob("*.npz"))) == 11
    sweep.begin(store, made_up, resume=False, join=True)
    assert sweep.advance(store, made_up) is not None


def test_what_a_killed_process_leaves_behind_is_picked_up(
    made_up, tmp_path, monkeypatch
):
    store, claim, asked = chunks.Store(tmp_path / "chunks"), chunks.Store.claim, []

    @contextlib.contextmanager
    def claimed_once_by_another(store, name):
        asked.append(name)
        with claim(store, name) as mine:
            yield mine and (name != "000003" or asked.count(name) > 1)

    monkeypatch.setattr(chunks.Store, "claim", claimed_once_by_another)
    sweep.begin(store, made_up, resume=False, join=True)
    assert sweep.advance(store, made_up) is not None


def test_nothing_is_simulated_for_a_run_that_ends_meanwhile(
    made_up, tmp_path, monkeypatch
):
    store, kept = chunks.Store(tmp_path / "chunks"), chunks.Store.kept
    sweep.begin(store, made_up, resume=False, join=True)

    def ended(store, name):
        store.remove()
        return kept(store, name)

    monkeypatch.setattr(chunks.Store, "kept", ended)
    monkeypatch.setattr(diffelec, "batch", None)
    assert sweep.advance(store, made_up) is None
    assert list(tmp_path.iterdir()) == []


def test_another_sweep_does_not_join(made_up, tmp_path):
    store = chunks.Store(tmp_path / "chunks")
    sweep.begin(store, made_up, resume=False, join=True)
    other = made_up._replace(rtol=1e-6)
    with pytest.raises(ValueError, match=r"the rtol changed from 0\.0001 to 1e-06"):
        sweep.begin(store, other, resume=False, join=True)
    with pytest.raises(ValueError, match="holds a run that was not finished"):
        sweep.begin(store, made_up, resume=False, join=False)


def test_a_protocol_without_a_half_cycle_is_refused(made_up, tmp_path):
    rest = diffelec.Protocol.from_strings(["Rest for 1 hour"])
    store = chunks.Store(tmp_path / "chunks")
    with pytest.raises(ValueError, match="must have a charge or a discharge"):
        sweep.begin(store, made_up._replace(protocol=rest), resume=False, join=False)
    assert not store.folder.exists()


def test_a_current_that_varies_but_is_no_rate_is_refused(tmp_path):
    """It would be one and the same in all lanes."""
    store, asked = chunks.Store(tmp_path / "chunks"), shared_sweep.made_up()
    space = sweep.space_of(asked.electrode, [quantities.parsed("current=0.5:2:3")])
    protocol = diffelec.Protocol.from_strings(["Charge at 30 pA for 2 hours"])
    with pytest.raises(ValueError, match=r"must be C-rates, .* step 1 .* in amperes"):
        sweep.begin(
            *(store, asked._replace(space=space, protocol=protocol)),
            resume=False,
            join=False,
        )
    assert not store.folder.exists()


@pytest.mark.parametrize("change", [{"rtol": 0.0}, {"max_steps": 0}])
def test_what_no_simulation_takes_is_refused_before_a_folder_is_made(change, tmp_path):
    store, (name, _) = chunks.Store(tmp_path / "chunks"), *change.items()
    with pytest.raises(ValueError, match=f"`{name}` must "):
        sweep.begin(
            store, shared_sweep.made_up()._replace(**change), resume=False, join=True
        )
    assert not store.folder.exists()


def test_spreads_of_lanes_that_end_stall_and_fail():
    asked = shared_sweep.made_up(count=5)  # factors 0.1, 0.32, 1, 3.2, 10
    found = sweep_files.spreads(asked, shared_sweep.lanes_of(asked))[:, 0]
    top = np.flatnonzero(asked.electrode.network.topology.imaged) + 1.0
    width = np.ptp(top)
    assert np.isnan(found[0])
    assert np.isinf(found[1])
    np.testing.assert_allclose(found[2:], width / np.array([1.0, 10**0.5, 10.0]))


def test_the_summary_counts_failures_by_cause():
    asked = shared_sweep.made_up(count=5)
    lines = sweep_files.text(asked, shared_sweep.lanes_of(asked)).splitlines()
    assert lines[0] == "4 of 5 simulations ended"
    assert lines[1].startswith("1 failed: The voltage (or current) limit of the first")
    assert lines[2].startswith("half cycle 1: all imaged particles passed in 3 lanes")


def test_the_summary_of_one_lane_is_in_the_singular():
    asked = shared_sweep.made_up(count=5)
    asked = asked._replace(values=asked.values[2:3])
    lines = sweep_files.text(asked, shared_sweep.lanes_of(asked)).splitlines()
    assert lines[0] == "1 of 1 simulation ended"
    assert lines[1].startswith("half cycle 1: all imaged particles passed in 1 lane, ")
