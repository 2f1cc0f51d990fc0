"""A made-up recording in the layouts of instruments, to be read again."""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np

HOUR = 3600.0
START = datetime(2025, 3, 14, 21, 30, 5, tzinfo=UTC)


class Made(NamedTuple):
    """Columns [s, V, A] of a made-up recording."""

    time: np.ndarray
    voltage: np.ndarray
    current: np.ndarray
    cycle: np.ndarray
    step: np.ndarray

    @property
    def charge(self):
        """Charge passed [Ah]."""
        steps = 0.5 * (self.current[1:] + self.current[:-1]) * np.diff(self.time)
        return np.concatenate([[0.0], np.cumsum(steps)]) / HOUR

    @property
    def dates(self):
        return [START + timedelta(seconds=float(t)) for t in self.time]

    @property
    def states(self):
        return ["C" if i > 0 else "D" if i < 0 else "R" for i in self.current]


def made(current=0.5e-3, minutes=(10, 150, 20, 150, 10), interval=60.0):
    """A rest, a charge, a rest, a discharge and a rest."""
    signs, pieces, now = (0, 1, 0, -1, 0), [], 0.0
    for step, (length, sign) in enumerate(zip(minutes, signs, strict=True)):
        time = now + interval * np.arange(1 if step else 0, length + 1)
        pieces.append([time, np.full(len(time), sign * current), time * 0 + step + 1])
        now = time[-1]
    time, current, step = (np.concatenate(c) for c in zip(*pieces, strict=True))
    charge = np.concatenate([[0.0], np.cumsum(current[1:] * np.diff(time))])
    voltage = 3.4 + 0.8 * charge / np.max(np.abs(charge)) + 20.0 * current
    rounded = np.round(voltage, 5)
    return Made(time, rounded, np.round(current, 9), np.ones(len(time)), step)


def _write(path, lines, encoding="utf-8", end="\r\n"):
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path


def biologic(path, data):
    """EC-Lab's text: header lines, decimal commas, Latin-1, mA."""
    top = [
        "EC-Lab ASCII FILE",
        "Nb header lines : 8                           ",
        "",
        "Galvanostatic Cycling with Potential Limitation",
        "Temperature max = 70,00 °C",
        f"Acquisition started on : {START:%m/%d/%Y %H:%M:%S}.000",
        "Electrode surface area : 0,001 cm²",
        "mode\tox/red\tNs\ttime/s\tcontrol/V/mA\tEwe/V\t<I>/mA\t(Q-Qo)/mA.h\t"
        "cycle number\tTemperature/°C\t",
    ]
    rows = [
        f"1\t1\t{s:.0f}\t{t:.15E}\t0\t{v:.7E}\t{1e3 * i:.7E}\t{1e3 * q:.9E}\t"
        f"{c - 1:.15E}\t25,1"
        for t, v, i, c, s, q in zip(*data, data.charge, strict=True)
    ]
    rows = [row.replace(".", ",") for row in rows]
    return _write(path.with_suffix(".mpt"), top + rows, "latin-1")


def biologic_bare(path, data):
    """EC-Lab's text without header lines."""
    top = ["mode\tox/red\tNs changes\tNs\ttime/s\tEcell/V\tI/mA\tcontrol/mA"]
    rows = [
        f"1\t1\t0\t{s:.0f}\t{t:.9E}\t{v:.7E}\t{1e3 * i:.7E}\t{1e3 * i:.7E}"
        for t, v, i, _, s in zip(*data, strict=True)
    ]
    return _write(path.with_suffix(".mpt"), top + rows)


def biologic_stamped(path, data):
    """BT-Lab's text with dates in the column of time."""
    top = [
        "BT-Lab ASCII FILE",
        "Nb header lines : 4",
        "",
        "Ns\ttime/s\tEcell/V\tI/mA\t",
    ]
    rows = [
        f"{s:.0f}\t{d:%m/%d/%Y %H:%M:%S}.000\t{v:.7E}\t{1e3 * i:.7E}"
        for d, v, i, s in zip(
            data.dates, data.voltage, data.current, data.step, strict=True
        )
    ]
    return _write(path.with_suffix(".txt"), top + rows, "latin-1")


_ARBIN = ("Data Point", "Date Time", "Test Time (s)", "Step Time (s)", "Cycle Index")
_ARBIN += ("Step Index", "Current (A)", "Voltage (V)", "Charge Capacity (Ah)")


def _arbin_rows(data):
    count = np.maximum.accumulate(np.maximum(data.charge, 0))
    columns = (*data, data.dates, count)
    for k, (t, v, i, c, s, d, q) in enumerate(zip(*columns, strict=True)):
        yield (k + 1, d, float(t), 0.0, int(c), int(s), float(i), float(v), float(q))


def arbin(path, data):
    """MITS Pro's CSV: byte order mark, a tab before the date."""
    rows = [
        f"{n},\t{d:%m/%d/%Y %H:%M:%S}.000," + ",".join(map(repr, rest))
        for n, d, *rest in _arbin_rows(data)
    ]
    return _write(path, [",".join(_ARBIN), *rows], "utf-8-sig")


def arbin_book(path, data):
    """Arbin's Excel book: information, then the channel in two sheets."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "Global_Info"
    book.active.append(["Test Name", "made up"])
    rows = [(n, d.replace(tzinfo=None), *rest) for n, d, *rest in _arbin_rows(data)]
    half = len(rows) // 2
    for number, part in enumerate((rows[:half], rows[half:])):
        sheet = book.create_sheet(f"Channel_1-009_{number + 1}")
        sheet.append(_ARBIN)
        for row in part:
            sheet.append(row)
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


def maccor(path, data):
    """Maccor's CSV: date lines, no units, a current without sign."""
    top = ["Today's Date ,28-Nov-23", "Date of Test:,23-Nov-23 3:56:08 PM"]
    top += [
        "Rec,Cycle C,Step,Test Time (sec),Step Time (sec),Capacity,Energy,Current,"
        "Voltage,DPT Time,Temp 1"
    ]
    rows = [
        f"{k + 1},{c:.0f},{s:.0f},{t:.4f},0,0,0,{abs(1e3 * i):.6f},{v:.5f},"
        f"{d:%d-%b-%y %I:%M:%S %p},22.3"
        for k, (t, v, i, c, s, d) in enumerate(zip(*data, data.dates, strict=True))
    ]
    return _write(path, top + rows)


def maccor_states(path, data):
    """Maccor's text with states and units in its names."""
    top = ["Rec#\tCyc#\tStep\tTest (Sec)\tStep (Sec)\tAmp-hr\tAmps\tVolts\tState\tES"]
    rows = [
        f"{k + 1}\t{c:.0f}\t{s:.0f}\t{t:.4f}\t0\t{abs(q):.9f}\t{abs(i):.9f}\t{v:.5f}\t"
        f"{x}\t1"
        for k, (t, v, i, c, s, q, x) in enumerate(
            zip(*data, data.charge, data.states, strict=True)
        )
    ]
    return _write(path.with_suffix(".txt"), top + rows)


def clock_reading(seconds):
    return (
        f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{seconds % 60:06.3f}"
    )


_NEWARE = ("Record ID", "Cycle Index", "Step Index", "Step Type", "Time", "Total Time")
_NEWARE += ("Current(mA)", "Voltage(V)", "Capacity(mAh)", "Date")
_NEWARE_STATES = {"C": "CC Chg", "D": "CC DChg", "R": "Rest"}


def _neware_rows(data):
    starts = {s: data.time[data.step == s][0] for s in np.unique(data.step)}
    for k, (t, v, i, c, s, d, x) in enumerate(
        zip(*data, data.dates, data.states, strict=True)
    ):
        t, step_time = float(t), float(t - starts[s])
        yield (
            *(k + 1, int(c), int(s), _NEWARE_STATES[x], step_time, t),
            *(float(1e3 * i), float(v), float(abs(i) * step_time / 3.6), d),
        )


def neware(path, data):
    """Neware's CSV: times as on a clock, dates without zone."""
    rows = [
        f"{n},{c},{s},{x},{clock_reading(a)},{clock_reading(t)},{i!r},{v!r},{q!r},"
        f"{d:%Y-%m-%d %H:%M:%S}"
        for n, c, s, x, a, t, i, v, q, d in _neware_rows(data)
    ]
    return _write(path, [",".join(_NEWARE), *rows], end="\n")


def neware_steps(path, data):
    """Neware's CSV with the time of the step only."""
    rows = [
        f"{n},{c},{s},{x},{a!r},{i!r},{v!r}"
        for n, c, s, x, a, _, i, v, *_ in _neware_rows(data)
    ]
    top = "Record ID,Cycle Index,Step Index,Step Type,Time(s),Current(mA),Voltage(V)"
    return _write(path, [top, *rows])


def neware_book(path, data):
    """Neware's Excel book of several sheets, times as Excel's durations."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active.title = "unit"
    book.active.append(["Current", "mA"])
    for title in ("cycle", "step"):
        book.create_sheet(title).append(["Cycle Index", "Charge Capacity(mAh)"])
    sheet = book.create_sheet("record")
    sheet.append(_NEWARE)
    for n, c, s, x, a, t, i, v, q, d in _neware_rows(data):
        times = (timedelta(seconds=float(a)), timedelta(seconds=float(t)))
        sheet.append((n, c, s, x, *times, i, v, q, d.replace(tzinfo=None)))
    book.save(path.with_suffix(".xlsx"))
    return path.with_suffix(".xlsx")


def basytec(path, data):
    """Basytec's text: lines with ~, the header the last of them."""
    top = [
        "~Resultfile from Basytec Battery Test System",
        f"~Start of Test: {START:%d.%m.%Y %H:%M:%S}",
        "~",
        "~Time[s]\tDataSet\tt-Step[s]\tLine\tCommand\tU[V]\tI[A]\tAh[Ah]\tT1[°C]\t"
        "Cyc-Count\tState",
    ]
    words = {"C": "Charge", "D": "Discharge", "R": "Pause"}
    rows = [
        f"{t!r}\t{k}\t0\t{s:.0f}\t{words[x]}\t{v!r}\t{i!r}\t{q!r}\t25.4\t{c:.0f}\t1"
        for k, (t, v, i, c, s, q, x) in enumerate(
            zip(*(c.tolist() for c in (*data, data.charge)), data.states, strict=True)
        )
    ]
    return _write(path.with_suffix(".txt"), top + rows, "latin-1")


def novonix(path, data):
    """Novonix's CSV: sections, then [Data]."""
    top = ["[Summary]", "Novonix UHPC data file", "Mass (g): 1.000", "[End Summary]"]
    top += ["[Protocol]", '{"Step":"time, voltage"}', "[End Protocol]", "[Data]"]
    top += [
        "Date and Time,Cycle Number,Step Type,Run Time (h),Step Time (h),Current (A),"
        "Potential (V),Capacity (Ah),Temperature (°C),Step Number"
    ]
    rows = [
        f"{d:%Y-%m-%d %H:%M:%S},{c:.0f},7,{t / HOUR:.9f},0,{i:.9f},{v:.5f},{q:.9f},"
        f"24.6,{s:.0f}"
        for t, v, i, c, s, q, d in zip(*data, data.charge, data.dates, strict=True)
    ]
    return _write(path, top + rows)


def plain(path, data):
    """A plain table in hours and mA, with a comment."""
    rows = [
        f"{t / HOUR:.9f},{v:.5f},{1e3 * i:.6f}"
        for t, v, i, *_ in zip(*data, strict=True)
    ]
    return _write(path, ["# made up", "time_h,voltage_V,current_mA", *rows])


def excel_text(path, data):
    """Excel's Unicode text: UTF-16, tabs, decimal commas, a row of units."""
    rows = [
        f"{t / 60:.7f}\t{1e3 * v:.4f}\t{1e6 * i:.4f}".replace(".", ",")
        for t, v, i, *_ in zip(*data, strict=True)
    ]
    return _write(path, ["Time\tVoltage\tCurrent", "min\tmV\tµA", *rows], "utf-16")


def battery_data_format(path, data):
    """The labels of the Battery Data Format."""
    rows = [
        f"{t!r},{v!r},{i!r},{d.timestamp()!r},{c:.0f},{s:.0f}"
        for t, v, i, c, s, d in zip(
            *(c.tolist() for c in data), data.dates, strict=True
        )
    ]
    top = "Test Time / s,Voltage / V,Current / A,Unix Time / s,Cycle Count / 1,"
    return _write(path.with_suffix(".bdf.csv"), [top + "Step ID / 1", *rows])
