"""Tables as header and rows: what is a row, what a comment."""

import gzip
import zipfile

import numpy as np
import pytest

from fitting import files, page, readers
from fitting.optical.film_circles import Circles, write_circles
from fitting.optical.trace_tables import read_traces
from fitting.sheets import read_number, read_rows


@pytest.fixture
def written(tmp_path):
    """Writes lines to a file and gives its path."""

    def write(*lines):
        path = tmp_path / "table.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


def particles(path):
    return [cells["particle"] for _, cells in read_rows(path)[1]]


def test_a_name_that_begins_like_a_comment_is_a_name_in_quotes(written):
    path = written("#source: x", "particle,r", '"#1",2', " # b,3", "##", '"#2",4')
    assert particles(path) == ["#1", "#2"]


@pytest.mark.parametrize("row", ["#1,2", " #1,2", "#1"])
def test_a_row_that_begins_like_a_comment_does_not_vanish(row, written):
    path = written("particle,r", "a,3", row)
    with pytest.raises(ValueError, match=r'line 3, .* begins with #1; write "#1" in'):
        read_rows(path)


def test_names_that_begin_like_comments_come_back_from_tables(tmp_path):
    names = ["#1", "b", '#2, "x"']
    path = tmp_path / "table.csv"
    files.write_csv(path, ["particle", "r"], [[name, 1.0] for name in names])
    assert particles(path) == names
    assert "<td>#1</td>" in page._table(path)
    write_circles(path, Circles(("#1", "a"), *np.full((3, 2), 5.0)))
    assert particles(path) == ["#1", "a"]


def test_rows_of_traces_do_not_vanish_without_a_note(written):
    rows = [f"a,{t},{t % 3}" for t in range(9)]
    path = written("particle,time_h,intensity", *rows, "#1,0,2", "#1,1,3")
    notes = read_traces(path, scale=3.0).notes
    assert any("begin with #, the first of them line 11, were left" in n for n in notes)


def test_a_column_twice_is_refused_and_columns_without_name_are_not(written):
    with pytest.raises(ValueError, match="every column once, but has r 2 times"):
        read_rows(written("particle,r,r", "a,1,2"))
    assert particles(written("particle,r,,", "a,1,,")) == ["a"]


@pytest.mark.parametrize("delimiter", ["\t", ";"])
def test_names_of_columns_may_hold_commas(delimiter, written):
    header = delimiter.join(("particle", "x, um", "y, um", "r, um"))
    path = written(header, delimiter.join(("a", "1.5", "2", "3")))
    assert read_rows(path)[0] == ["particle", "x, um", "y, um", "r, um"]
    assert read_rows(path)[1][0][1]["x, um"] == "1.5"
    assert "<th>x, um</th><th>y, um</th>" in page._table(path)


def test_rows_of_empty_cells_are_no_rows(written):
    path = written("particle,r", "a,1", ",", "b,2", " , ", '"",')
    assert particles(path) == ["a", "b"]
    with pytest.raises(ValueError, match="must have one row or more"):
        read_rows(written("particle,r", ",", ",,,"))


def book(path):
    pytest.importorskip("openpyxl").Workbook().save(path)


def archive(path):
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("table.csv", "particle,x_um\n")


def write(data):
    return lambda path: path.write_bytes(data)


BINARIES = {
    "an Excel workbook; export its table as CSV": book,
    "a zip archive; unpack it": archive,
    "compressed \\(gzip\\); unpack it": write(gzip.compress(b"particle,x_um\n")),
    "a MATLAB file; export its table": write(b"MATLAB 5.0 MAT-file, \0\x80\xff"),
    "an HDF5 file; export its table as CSV": write(b"\x89HDF\r\n\x1a\n\0\xff"),
    "a PDF; give the table in text": write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"),
}


@pytest.mark.parametrize("words", BINARIES)
@pytest.mark.parametrize(
    "read", [files.read_particle_table, readers.read_events, read_traces]
)
def test_a_table_in_another_program_s_file_is_called_what_it_is(read, words, tmp_path):
    path = tmp_path / "table.csv"
    BINARIES[words](path)
    with pytest.raises(ValueError, match=f"^table.csv must be text, but is {words}"):
        read(path)


@pytest.mark.parametrize("text", ["1_000", "\u0661\u0662", "\uff11", "1e", "inf", ""])
def test_what_only_a_program_would_call_a_number_is_none(text, tmp_path):
    with pytest.raises(ValueError, match=r"t.csv, line 3, column x, must be a finite"):
        read_number("t.csv", 3, "x", text)
    path = tmp_path / "cell.csv"
    path.write_text(f"time_s,voltage_V\n0,3.6\n60,{text}\n120,3.8\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"cell.csv, line 3, column voltage_V, must"):
        readers.read_recording(path)
