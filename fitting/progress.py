"""Progress on stderr, shown only where stderr is a terminal.

A compiled solve is kept in JAX's cache on disk only if it never calls back to the
host, and a solve of some tens of particles takes a second while compiling it takes
half a minute. Hence `Waiting` (a clock in a thread) for those, and `ProtocolMeter`
(calls back) for networks whose solve outlasts its compilation.
"""

import abc
import sys
import threading
import time

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import tqdm

_TYPICAL_STEPS = 15  # of a Levenberg-Marquardt search
_LONG_FROM = 400  # particles; below, a cached solve ends before a bar is read


class Waiting:
    """A context manager that shows a message and the time elapsed."""

    def __init__(self, message: str, stream=None):
        self.message = message
        self.stream = sys.stderr if stream is None else stream
        self._done = threading.Event()
        self._thread = None

    def __enter__(self):
        if self.stream.isatty():
            self._thread = threading.Thread(target=self._tick, daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception):
        self._done.set()
        if self._thread is not None:
            self._thread.join()

    def _tick(self):
        bar = tqdm.tqdm(bar_format="{desc} {elapsed}", file=self.stream, leave=False)
        bar.set_description_str(self.message)
        while not self._done.wait(0.5):
            bar.refresh()
        bar.close()


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


class _AbstractBar(abc.ABC):
    """A bar that begins with the first call; before that, the time of compilation."""

    def __init__(self, waiting: str, stream=None):
        self.stream = sys.stderr if stream is None else stream
        self._waiting = Waiting(waiting, self.stream)
        self._bar = None

    def __enter__(self):
        self._waiting.__enter__()
        return self

    def __exit__(self, *exception):
        self._waiting.__exit__(*exception)
        if self._bar is not None:
            self._bar.close()

    @abc.abstractmethod
    def __call__(self, progress):
        """Shows how far it has come."""


class Search(_AbstractBar):
    """A bar over the iterations of a fit; call it with every `optimise.Progress`.

    What remains is reckoned from the starts that are over: before the first is, each
    is taken for `_TYPICAL_STEPS` iterations long.
    """

    def __init__(self, num_starts: int, stream=None):
        super().__init__("compiling the fit", stream)
        self.num_starts = num_starts
        self._start, self._before, self._now = 0, 0, 0

    def __call__(self, progress) -> bool:
        """Shows an iteration; never asks the search to stop."""
        if progress.start != self._start:
            self._start, self._before = progress.start, self._now
        self._now = self._before + progress.step
        if not self.stream.isatty():
            return False
        if self._bar is None:
            self._waiting.__exit__(None, None, None)
            self._bar = tqdm.tqdm(
                file=self.stream,
                bar_format="{desc} {percentage:3.0f}%|{bar}| "
                "[{elapsed}<{remaining}, {rate_fmt}]",
                unit="step",
                leave=False,
            )
        self._bar.total = self._expected(progress.step)
        self._bar.n = self._now
        self._bar.set_description_str(
            f"start {progress.start + 1}/{self.num_starts}, "
            f"misfit {2 * progress.best:.3g}",
            refresh=False,
        )
        self._bar.refresh()
        return False

    def _expected(self, step: int) -> int:
        """Iterations of all starts, as far as can be known."""
        each = self._before / self._start if self._start else _TYPICAL_STEPS
        left = self.num_starts - self._start - 1
        return round(self._before + max(step, each) + left * each)


class Draws(_AbstractBar):
    """A bar over the draws of all chains; call it with every `sampling.Progress`."""

    def __init__(self, stream=None):
        super().__init__("compiling the chains", stream)

    def __call__(self, progress) -> None:
        """Shows a draw."""
        if not self.stream.isatty():
            return
        if self._bar is None:
            self._waiting.__exit__(None, None, None)
            self._bar = tqdm.tqdm(
                desc="draws",
                total=progress.num_total,
                initial=progress.num_done - progress.num_new,
                file=self.stream,
                unit="draw",
                leave=False,
            )
        self._bar.total = progress.num_total  # a pilot's, then that of all
        shown = {"solves a draw": f"{progress.num_solves / progress.num_new:.0f}"}
        if progress.num_diverging:
            shown["divergences"] = progress.num_diverging
        if progress.num_failed:
            shown["failed solves"] = progress.num_failed
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update(progress.num_done - self._bar.n)


class Powers(_AbstractBar):
    """A bar over the draws of walkers and of chains behind them; call it with every
    `tempering.Stage`.
    """

    def __init__(self, stream=None):
        super().__init__("compiling the walkers", stream)

    def __call__(self, stage) -> None:
        """Shows a draw."""
        if not self.stream.isatty():
            return
        if self._bar is None:
            self._waiting.__exit__(None, None, None)
            self._bar = tqdm.tqdm(file=self.stream, unit="draw", leave=False)
            self._bar.initial = stage.num_done - stage.progress.num_new
        self._bar.total = stage.num_total
        self._bar.set_description_str(f"power {stage.power:.2g}", refresh=False)
        self._bar.update(stage.num_done - self._bar.n)


class Counted(_AbstractBar):
    """A bar over things of one kind; call it with what is done now, once each. Their
    `total` may grow.
    """

    def __init__(self, what: str, total: int, stream=None):
        super().__init__(f"compiling, then {what}", stream)
        self.what, self.total, self.done = what, total, 0

    def __call__(self, progress: str) -> None:
        """One more is done; `progress` says of what."""
        self.done += 1
        if not self.stream.isatty():
            return
        if self._bar is None:
            self._waiting.__exit__(None, None, None)
            self._bar = tqdm.tqdm(
                total=self.total,
                file=self.stream,
                bar_format="{desc} {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]",
                leave=False,
            )
        self._bar.n, self._bar.total = self.done, self.total
        self._bar.set_description_str(f"{self.what}: {progress}")


def meter_for(num_particles: int, num_steps: int, stream=None):
    """A `ProtocolMeter` where the solve is long and a person watches, else None."""
    stream = sys.stderr if stream is None else stream
    if num_particles < _LONG_FROM or not stream.isatty():
        return None
    return ProtocolMeter(Steps(num_steps, stream), refresh_steps=1)
