"""Workbooks and binary files of cyclers as a `Sheet`, by optional readers.

A reader that is not installed, and a format that has none of a permissive licence, end
in one sentence that names the remedy.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta
from pathlib import Path

import numpy as np

from .cycler_text import Sheet
from .cycler_time import whole_time

_HEADER_WITHIN = 200  # rows of a sheet
_EXCEL_ZERO = datetime(1899, 12, 30)
_EXCEL_LEAP = datetime(1900, 3, 1)  # before it Excel counts a day less than there were
_LAST_DURATION = 1905  # years up to which Excel's dates are durations
_REMEDIES = {
    ".mps": "BioLogic's settings; export the .mpr as text in EC-Lab",
    ".res": "Arbin's database; export it as CSV or Excel in MITS Pro",
    ".xls": "an old Excel book; save it as .xlsx or CSV",
    ".gz": "compressed; unpack it",
    ".zip": "compressed; unpack it",
    ".mat": "of MATLAB; write it as CSV",
    ".parquet": "Parquet; write it as CSV",
    ".h5": "HDF5; write it as CSV",
}


def refuse_binary(path: str | os.PathLike) -> None:
    """Raises ValueError for formats without a reader, naming the remedy."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes]
    for suffix in suffixes[-2:]:
        if suffix in _REMEDIES and (suffix == suffixes[-1] or suffix == ".res"):
            raise ValueError(
                f"{Path(path).name} must be a text export, but is {_REMEDIES[suffix]}."
            )


def read_book(
    path: str | os.PathLike, is_header: Callable[[Sequence[str]], bool]
) -> Sheet:
    """The table in an Excel book: its sheets of one header, one below the other.

    Raises:
        ValueError: where no sheet has a table, or the reader is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise _not_installed(path, "openpyxl", "excel") from None
    name = Path(path).name
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            found = {s.title: [*s.iter_rows(values_only=True)] for s in book.worksheets}
            book.close()
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"{name} must be an Excel book, but cannot be read ({_first(error)}); "
            "save it again or export it as CSV."
        ) from None
    tables = {title: _table_of(rows, is_header) for title, rows in found.items()}
    kept = {title: table for title, table in tables.items() if table is not None}
    if not kept:
        seen = ", ".join(
            f"'{title}' with {', '.join(_texts(rows[0])[:4])}" if rows else f"'{title}'"
            for title, rows in found.items()
        )
        raise ValueError(
            f"{name} must have a sheet with columns of time and voltage, but has "
            f"{seen}; export the sheet of records."
        )
    return _joined(name, kept)


def _joined(name: str, tables: dict) -> Sheet:
    """Sheets that have the first one's header, as one."""
    title, (header, preamble, _, _) = next(iter(tables.items()))
    rows, lines, used = [], [], []
    for other, (own, _, below, numbers) in tables.items():
        if own == header:
            rows += below
            lines += numbers
            used.append(other)
    notes = []
    if len(used) > 1:
        notes.append(f"{name}: sheets {', '.join(used)} were joined.")
    left = [other for other in tables if other not in used]
    if left:
        notes.append(f"{name}: of its sheets, {title} was read, {', '.join(left)} not.")
    if not rows:
        raise ValueError(
            f"{name}, sheet {title}, must have one row or more below its header, but "
            "has none."
        )
    return Sheet(name, header, rows, lines, "", preamble, tuple(notes))


def _table_of(rows, is_header):
    """(header, preamble, rows, their numbers) of a sheet; None where it has none."""
    for k, row in enumerate(rows[:_HEADER_WITHIN]):
        texts = _texts(row)
        if not is_header(texts):
            continue
        width = max(n + 1 for n, text in enumerate(texts) if text)
        header = tuple(texts[:width])
        below, numbers = [], []
        for n, cells in enumerate(rows[k + 1 :]):
            found = _texts(cells[:width])
            if any(found) and tuple(found) != header:
                below.append(found + [""] * (width - len(found)))
                numbers.append(k + n + 2)
        preamble = tuple(" ".join(_texts(above)).strip() for above in rows[:k])
        return header, preamble, below, numbers
    return None


def _texts(row: Sequence) -> list[str]:
    return [_text(cell) for cell in row]


def _text(cell) -> str:
    """A cell as a text export would write it."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        return repr(cell)
    if isinstance(cell, datetime) and cell.year <= _LAST_DURATION:
        cell = cell - _EXCEL_ZERO - timedelta(days=cell < _EXCEL_LEAP)
    if isinstance(cell, timedelta):
        seconds = cell.total_seconds()
        rest = seconds % 60
        return f"{int(seconds // 3600)}:{int(seconds % 3600 // 60):02d}:{rest:09.6f}"
    if isinstance(cell, time):
        return cell.isoformat()
    if isinstance(cell, datetime):
        return cell.isoformat(sep=" ")
    return str(cell).strip()


def read_neware(path: str | os.PathLike) -> Sheet:
    """The table in a binary file of Neware.

    Raises:
        ValueError: where the reader is not installed or cannot read the file.
    """
    try:
        import NewareNDA
    except ImportError:
        raise _not_installed(path, "NewareNDA", "neware") from None
    name = Path(path).name
    with open(path, "rb"):  # an OSError before the reader hides it
        pass
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = NewareNDA.read(str(path), log_level="CRITICAL")
    except Exception as error:
        raise ValueError(
            f"{name} must be a file of Neware, but cannot be read ({_first(error)}); "
            "export it as Excel or CSV."
        ) from None
    if not len(found):
        raise ValueError(f"{name} must hold one record or more, but holds none.")
    renamed = {"Voltage": "Voltage(V)", "Step": "Step Count", "Index": "Record ID"}
    renamed |= {"Cycle": "Cycle Index", "Time": "Step Time(s)", "Timestamp": "Date"}
    found = found.rename(columns=renamed)
    steps = found["Step Count"].to_numpy()
    found["Total Time(s)"] = whole_time(found["Step Time(s)"].to_numpy(), steps)
    found["Date"] = found["Date"].astype(str)
    columns = [
        [repr(float(v)) for v in found[c]]
        if found[c].dtype.kind == "f"
        else [str(v) for v in found[c]]
        for c in found.columns
    ]
    notes = (f"{name}: the time of the test is the sum of the times of its steps.",)
    rows = list(zip(*columns, strict=True))
    lines = range(1, len(rows) + 1)
    return Sheet(name, tuple(found.columns), rows, lines, notes=notes)


def read_biologic(path: str | os.PathLike) -> Sheet:
    """The table in a binary file of BioLogic, in the columns of its text export.

    Files of galvanostatic techniques hold charges dq in place of currents; these are
    $$ I_k = dq_k / (t_k - t_{k-1}) $$, of the first row that of the second.

    Raises:
        ValueError: where the reader is not installed or cannot read the file.
    """
    try:
        from galvani import BioLogic
    except ImportError:
        raise ValueError(
            f"{Path(path).name} needs the reader galvani (licence GPL), which is "
            'not installed; run pip install "diffelec[biologic]", or export the file '
            "as text in EC-Lab (File, Export as Text)."
        ) from None
    name = Path(path).name
    try:
        with open(path, "rb") as stream, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = BioLogic.MPRfile(stream)
    except OSError:
        raise
    except Exception as error:
        raise ValueError(
            f"{name} must be a file of BioLogic, but cannot be read ({_first(error)}); "
            "export it as text in EC-Lab."
        ) from None
    data = found.data
    if len(data) < 2:
        raise ValueError(
            f"{name} must hold two records or more, but holds {len(data)}."
        )
    columns = {column: data[column].astype(float) for column in data.dtype.names}
    notes = ()
    if not {"I/mA", "<I>/mA"} & set(columns) and "dq/mA.h" in columns:
        columns["I/mA"] = _current_of(columns["time/s"], columns["dq/mA.h"])
        notes = (f"{name}: the current is the charge of each record over its time.",)
    start = getattr(found, "timestamp", None)
    preamble = ["EC-Lab binary file"]
    if start is not None:
        preamble.append(f"Acquisition started on : {start:%Y-%m-%d %H:%M:%S}")
    rows = [
        list(map(repr, row)) for row in np.column_stack([*columns.values()]).tolist()
    ]
    lines = range(1, len(rows) + 1)
    return Sheet(name, tuple(columns), rows, lines, "", tuple(preamble), notes)


def _current_of(time, charge):
    """Current [mA] of charges [mAh] that came since the row before."""
    width = np.diff(time)
    current = 3600.0 * charge[1:] / np.where(width > 0, width, np.inf)
    return np.concatenate([current[:1], current])


def _first(error: Exception) -> str:
    """The beginning of a reader's complaint."""
    return str(error).strip().split("\n")[0][:80].rstrip(".") or type(error).__name__


def _not_installed(path, package: str, extra: str) -> ValueError:
    return ValueError(
        f"{Path(path).name} needs the reader {package}, which is not installed; run "
        f'pip install "diffelec[{extra}]", or export the file as CSV.'
    )
