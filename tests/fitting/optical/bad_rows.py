"""Lines of tables of cyclers, right and wrong, for the tests of bad files."""

HOUR = 3600.0
TOP = "time_s,voltage_V,current_A"


def rows(count=40, step=10.0, current=0.1):
    """Lines of a plain charge."""
    return [f"{step * k},{3.5 + 0.01 * k:.4f},{current}" for k in range(count)]


def with_line(number, line, lines=None):
    lines = lines or [TOP, *rows()]
    return [*lines[: number - 1], line, *lines[number - 1 :]]


def swapped(lines, first, second):
    lines = list(lines)
    lines[first - 1], lines[second - 1] = lines[second - 1], lines[first - 1]
    return lines


def dated(dates, top="Date,voltage_V"):
    return [top, *(f"{d},{3.5 + 0.001 * k:.4f}" for k, d in enumerate(dates))]


def spring_dates(hours):
    """Date and time of a clock that loses an hour at 3 o'clock in autumn."""
    found = []
    for k in range(int(hours * 6)):
        minutes = 10 * k + 60
        minutes -= 60 * (minutes >= 180)
        found.append(f"2025-10-26 {minutes // 60:02d}:{minutes % 60:02d}:00")
    return found


def dates_and_time(factor):
    """Rows with a date a minute, and a time that is `factor` too large."""
    return [
        "time_s,Date,voltage_V",
        *(
            f"{60 * factor * k},2025-03-14 10:{k:02d}:00,{3.5 + 0.001 * k:.4f}"
            for k in range(40)
        ),
    ]


def with_charge(current, top="time_s,voltage_V,current_A,Capacity(Ah)"):
    """Rows whose capacity is that of 0.1 A, with another current."""
    return [
        top,
        *(
            f"{10 * k},{3.5 + 0.01 * k:.4f},{current},{0.1 * k / 360}"
            for k in range(40)
        ),
    ]


def maccor_rows(current="0.1", voltage=lambda k: 3.5 + 0.01 * k):
    return [
        "Rec,Cycle C,Step,Test Time (sec),Current,Voltage",
        *(f"{k + 1},1,1,{10 * k},{current},{voltage(k):.4f}" for k in range(40)),
    ]


def resets(every):
    """A time that begins anew in every step."""
    return [
        "test_time_second,voltage_volt",
        *(f"{10 * (k % every)},{3.5 + 0.01 * k:.4f}" for k in range(40)),
    ]


def written(path, lines, encoding="utf-8"):
    path.write_bytes(("\n".join(lines) + "\n").encode(encoding))
    return path
