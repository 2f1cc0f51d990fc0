"""What a command prints where nobody reads it any more: `| head -1`, a full disk.

Results are worth more than a table that is printed in vain, so a command goes on.
"""

import os
import sys


class Lasting:
    """A stream of text that drops what it cannot write, from the first failure on.

    Attributes:
        failure: the error of that; None so far.
    """

    def __init__(self, stream):
        self._stream = stream
        self.failure: OSError | None = None

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes, or drops."""
        return self._lasting(self._stream.write, text)

    def flush(self) -> None:
        """Writes what was gathered, or drops it."""
        self._lasting(self._stream.flush)

    def _lasting(self, action, *given):
        try:
            return action(*given)
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())  # what is gathered goes, too
            except OSError:  # a stream that is no file
                raise error from None
            finally:
                os.close(nowhere)
            self.failure = error
            return action(*given)


def keep_on() -> None:
    """Puts streams that last in place of `sys.stdout` and `sys.stderr`, and nowhere in
    place of one that was closed: the next file would have its number, and get what
    libraries print.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # has the smallest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        setattr(sys, name, Lasting(stream))


def lost() -> str | None:
    """Why what was printed got lost, in words; None where all of it was written, or
    who read it left.
    """
    failure = getattr(sys.stdout, "failure", None)
    if failure is None or isinstance(failure, BrokenPipeError):
        return None
    return failure.strerror or str(failure)
