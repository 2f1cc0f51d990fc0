"""How the film's clock goes against the cycler's: given, or found in the traces."""

import dataclasses

_HOUR = 3600.0
_VAGUE = 5.0  # frames, from which on a clock offset is not known


def frame_time(traces) -> float:
    """From one frame to the next, mostly [s]."""
    import numpy as np

    return float(np.median(np.diff(traces.time)))


def offset(arguments, traces, recording):
    """(`optical.clock.Offset`, a note where it was not given)."""
    import numpy as np

    from ..optical import clock

    frame, text = frame_time(traces), arguments.clock_offset_s
    if text is None:
        note = (
            "The clocks of film and cycler are taken to read 0 together; give "
            "--clock-offset-s SECONDS, or auto."
        )
        return clock.Offset(0.0, frame, drift=0.0, count=0), note
    if text == "auto":
        if arguments.inverted:  # what a charge darkens
            traces = dataclasses.replace(traces, intensity=-traces.intensity)
        found = clock.clock_offset(traces, recording)
        return found, _told(found, frame)
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not np.isfinite(seconds):
        raise ValueError(
            f"--clock-offset-s must be a number of seconds or auto, but is '{text}'."
        )
    return clock.Offset(seconds, frame, drift=0.0, count=0), ""


def gained(drift: float, sd: float | None = None) -> str:
    """How a cycler's clock goes that gains so many s on the film's in one of it."""
    verb = "gains" if drift > 0 else "loses"
    also = "" if sd is None else f" +- {1e3 * sd:.2g}"
    return f"{verb} {1e3 * abs(drift):.3g}{also} s on the film's in 1000 s"


def _told(found, frame: float) -> str:
    """What was found of the clocks, of frames so far apart [s]."""
    from ..wording import counted

    own, by = "reads 0", counted(found.count, "reversal")
    if found.sure_drift:
        own = f"reads {found.reference / _HOUR:.4g} h"
    more = " more" if found.sure_drift else ""
    note = (
        f"The cycler's clock reads {_rounded(found.seconds, 4)} +- "
        f"{_rounded(found.sd, 2)} s{more} when the film's {own}, by {by} of current."
    )
    if found.sure_drift:
        note += (
            f" It {gained(found.drift, found.drift_sd)}; all times are mended by that."
        )
    if found.sd > _VAGUE * frame:
        note += " That is too vague to rely on; give --clock-offset-s SECONDS."
    return " ".join([note, *found.notes])


def _rounded(value: float, digits: int) -> str:
    """A number of so many digits or more, without powers of ten."""
    large = abs(value) >= 10 ** (digits - 1)
    return f"{value:.0f}" if large else f"{value:.{digits}g}"
