"""What interrupts a command: Ctrl-C, SIGTERM of batch systems, a terminal that closes.

Each raises KeyboardInterrupt, after which what is half done is cleaned up.
"""

import math
import signal
import sys
import threading
import time

STOPS = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP")
    if hasattr(signal, name)  # no SIGHUP on Windows
)
_IMPATIENT = 5.0  # s within which more of them tell nothing new
_SOON = 0.01  # s
_IMPORTS = "<frozen importlib._bootstrap>"  # what loads modules
_COMMAND_LINE = "fitting.cli"  # outside of which a module may be loaded all along


class Interruptions:
    """Listens to the signals that are not to be ignored.

    Attributes:
        first: number of the first signal that came; None so far.
    """

    def __init__(self):
        self.first: int | None = None
        self._last = -math.inf

    def listen(self) -> None:
        """From now on."""
        for number in STOPS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._raise)
        sys.unraisablehook = self._unheard

    def _raise(self, number: int, frame) -> None:
        self.first = self.first or number
        if _loads(frame):
            self._again()
            return
        before, self._last = self._last, time.monotonic()
        if self._last - before > _IMPATIENT:
            raise KeyboardInterrupt

    def _unheard(self, unraisable) -> None:
        """An interruption in what the garbage collector calls, where exceptions are
        printed and forgotten, comes again.
        """
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            sys.__unraisablehook__(unraisable)
            return
        self._last = -math.inf
        self._again()

    def _again(self) -> None:
        """The first signal comes once more, soon."""
        again = threading.Timer(_SOON, _wake, [self.first or STOPS[0]])
        again.daemon = True
        again.start()


def _loads(frame) -> bool:
    """Whether the command line loads a module: what is written in C may crash the
    process, or hide an exception, when one comes while it begins.
    """
    while frame is not None and frame.f_globals.get("__name__") != _COMMAND_LINE:
        if frame.f_code.co_filename == _IMPORTS:
            return True
        frame = frame.f_back
    return False


def _wake(number: int) -> None:
    """Sends a signal to the main thread, which one to another thread would not wake."""
    if hasattr(signal, "pthread_kill"):
        signal.pthread_kill(threading.main_thread().ident, number)
    else:  # Windows
        signal.raise_signal(number)
