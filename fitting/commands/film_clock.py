"""How the film's clock goes against the cycler's: given, or found in the traces."""

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


def _told(found, frame: float) -> str:
    """What was found of the clocks, of frames so far apart [s]."""
    from ..wording import counted

    own, by = "reads 0", counted(found.count, "reversal")
    if found.sure_drift:
        own = f"reads {found.reference / _HOUR:.4g} h"
    more = " more" if found.sure_drift else ""
    note = (
        f"The cycler's clock reads {found.seconds:.4g} +- {found.sd:.2g} s{more} when "
        f"the film's {own}, by {by} of current."
    )
    if found.sure_drift:
        gains = "gains" if found.sure_drift > 0 else "loses"
        note += (
            f" It {gains} {1e3 * abs(found.drift):.2g} +- {1e3 * found.drift_sd:.2g} s "
            "on the film's in 1000 s; all times are mended by that."
        )
    if found.sd > _VAGUE * frame:
        note += " That is too vague to rely on; give --clock-offset-s SECONDS."
    return " ".join([note, *found.notes])
