"""A diffrax meter on stderr, which the compiled solve calls back to."""

import sys
import threading
import time

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import tqdm


class Steps:
    """Host side of `ProtocolMeter`: a bar that counts protocol steps."""

    def __init__(self, num_steps: int, stream=None):
        self.stream = sys.stderr if stream is None else stream
        self.num_steps = num_steps
        self.done = 0.0
        self._bar = None
        self._lock = threading.Lock()
        self._shown = 0.0

    def start(self):
        """A protocol step begins."""
        with self._lock:
            if self._bar is None and self.stream.isatty():
                self._bar = tqdm.tqdm(
                    total=self.num_steps,
                    desc="protocol",
                    unit="step",
                    file=self.stream,
                    bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.2f}/{total_fmt} "
                    "steps [{elapsed}<{remaining}, {rate_fmt}]",
                )
            self.done = float(int(self.done))

    def move(self, progress):
        """A part in [0, 1] of the step's longest time is behind us."""
        with self._lock:
            self.done = int(self.done) + min(float(progress), 0.999)
            if time.monotonic() - self._shown > 0.2:
                self._show()

    def end(self):
        """A protocol step is over."""
        with self._lock:
            self.done = float(int(self.done) + 1)
            self._show()
            if self._bar is not None and self.done >= self.num_steps:
                self._bar.close()
                self._bar = None

    def _show(self):
        self._shown = time.monotonic()
        if self._bar is not None:
            self._bar.n = self.done
            self._bar.refresh()


class ProtocolMeter(diffrax.AbstractProgressMeter):
    """A diffrax meter of a whole protocol: steps done and the part of the present one.

    That part is of the step's *longest* time, so a step that a cut-off ends jumps. A
    solve that is compiled with this meter is compiled anew in every process.
    """

    steps: Steps = eqx.field(static=True)
    refresh_steps: int = eqx.field(static=True, default=10)

    def init(self):
        jax.debug.callback(self.steps.start)
        return jnp.array(0)

    def step(self, state, progress):
        jax.lax.cond(
            state % self.refresh_steps == 0,
            lambda p: jax.debug.callback(self.steps.move, p),
            lambda p: None,
            progress,
        )
        return state + 1

    def close(self, state):
        jax.debug.callback(lambda _: self.steps.end(), state)
