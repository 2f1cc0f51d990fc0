"""A sweep in closed form for processes that share it, one of which may kill itself.

    python -m tests.fitting.shared_sweep FOLDER COUNT [NUMBER]

COUNT: processes that begin together. NUMBER: of the file in whose writing this one
dies.
"""

import os
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import diffelec
from fitting import chunks, quantities, sweep
from tests.fitting.killed import die_in_write

CHARGE = ["Charge at C/20 until 4.3 V"]


def closed_form(asked: sweep.Sweep):
    """What stands in for simulations: times of the values, none below a factor 0.2."""

    def lane(values):
        factor = 10.0 ** values[0]
        count = asked.electrode.network.topology.num_particles
        rank = jnp.arange(1.0, 1.0 + count)
        late = jnp.where((factor < 0.5) & (rank > 2), jnp.inf, 3600.0 * rank / factor)
        late = jnp.where(factor < 0.2, jnp.nan, late)
        return sweep.Lanes(
            outcome=jnp.where(factor < 0.2, 1, 0),
            num_steps=jnp.asarray(7),
            levels=late * jnp.array([0.4, 0.9, 2.0])[None, :, None],
            changes=late * jnp.array([0.5, 1.0])[None, :, None],
            capacity=3.6e-6 * factor * jnp.ones(1),
        )

    return lane


def made_up(count: int = 23, chunk: int = 2) -> sweep.Sweep:
    """Lanes over two decades of a factor, on three particles in a chain."""
    ranges = [quantities.parsed(f"diffusivity=0.1:10:{count}")]
    electrode = diffelec.presets.sharma2022()
    return sweep.Sweep(
        electrode,
        diffelec.Protocol.from_strings(CHARGE),
        sweep.space_of(electrode, ranges),
        sweep.grid(ranges),
        chunk=chunk,
    )


def many() -> sweep.Sweep:
    """One of so many chunks that each of some processes gets several."""
    return made_up(count=201)


def meet(folder: Path, count: int) -> None:
    """Waits until so many processes are here."""
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).touch()
    while len(list(folder.iterdir())) < count:
        time.sleep(0.01)


def let_ahead(folder: Path) -> None:
    """Waits until the process that dies has left a chunk, which is before its end."""
    while not any(folder.glob("*.npz")):
        time.sleep(0.01)


def lanes_of(asked) -> sweep.Lanes:
    """What a closed form says of all lanes of a sweep."""
    alone = closed_form(asked)
    rows = [jax.tree.map(np.asarray, alone(jnp.asarray(v))) for v in asked.values]
    return sweep.Lanes(*(np.stack(leaf) for leaf in zip(*rows, strict=True)))


def shared(folder: Path) -> sweep.Lanes | None:
    """Takes part in the sweep of a folder."""
    asked = many()
    store = chunks.Store(folder)
    sweep.begin(store, asked, resume=False, join=True)
    return sweep.advance(store, asked)


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    sweep._lane_of = closed_form
    place, dies = Path(sys.argv[1]), len(sys.argv) > 3
    if dies:
        die_in_write(int(sys.argv[3]))
    meet(place.with_suffix(".ready"), int(sys.argv[2]))
    if not dies:
        let_ahead(place)
    shared(place)
