"""Progress on stderr, shown only where stderr is a terminal.

A compiled solve is kept in JAX's cache on disk only if it never calls back to the
host, and a solve of some tens of particles takes a second while compiling it takes
half a minute. Hence `Waiting` (a clock in a thread) for those, and
`meters.ProtocolMeter` (calls back) for networks whose solve outlasts its compilation.
"""

import abc
import sys
import threading

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
    """A `meters.ProtocolMeter` where the solve is long and a person watches, else
    None.
    """
    stream = sys.stderr if stream is None else stream
    if num_particles < _LONG_FROM or not stream.isatty():
        return None
    from . import meters  # what these are made of takes long to import

    return meters.ProtocolMeter(meters.Steps(num_steps, stream), refresh_steps=1)
