"""What a file is by its first bytes, for messages about what is none of ours."""

import os
from pathlib import Path

_MARKS = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file",
    b"MATLAB 7.3 MAT-file": "a MATLAB file",
    b"MATLAB 5.0 MAT-file": "a MATLAB file",
    b"CDF\x01": "a NetCDF file",
    b"CDF\x02": "a NetCDF file",
    b"PAR1\x15": "a Parquet file",
    b"\x1f\x8b": "compressed (gzip)",
    b"%PDF-": "a PDF",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF87a": "a GIF picture",
    b"GIF89a": "a GIF picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
}
_ARCHIVES = {  # by what a zip archive names among its first parts
    b"opendocument.spreadsheet": "an OpenDocument spreadsheet",
    b"[Content_Types].xml": "an Excel workbook",
    b"docProps/": "an Excel workbook",
    b"xl/": "an Excel workbook",
    b"": "a zip archive",
}
_TABLES = ("workbook", "spreadsheet", "file")
_PACKED = ("archive", "(gzip)")
_ENOUGH = 4096  # bytes


def kind_of(path: str | os.PathLike) -> str | None:
    """What a file is, such as "an Excel workbook"; None where its bytes do not tell."""
    with Path(path).open("rb") as stream:
        head = stream.read(_ENOUGH)
    if head.startswith(b"PK\x03\x04"):
        return next(kind for part, kind in _ARCHIVES.items() if part in head)
    return next((kind for mark, kind in _MARKS.items() if head.startswith(mark)), None)


def check_text(path: str | os.PathLike) -> None:
    """Raises ValueError for a file that is evidently no text, naming the remedy."""
    kind = kind_of(path)
    if kind is None:
        return
    remedy = "give the table in text (CSV)"
    if kind.endswith(_TABLES):
        remedy = "export its table as CSV"
    elif kind.endswith(_PACKED):
        remedy = "unpack it"
    raise ValueError(f"{Path(path).name} must be text, but is {kind}; {remedy}.")
