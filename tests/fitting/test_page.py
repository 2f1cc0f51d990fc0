"""`diffelec report`: results on one page."""

import base64
import re

import pytest

from fitting import cli, files, page

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAA"
    "AABJRU5ErkJggg=="
)


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


def results(folder, **fields):
    """A made-up folder of results."""
    folder.mkdir(parents=True)
    study = {"format": "diffelec fit", "date": "2026-11-23", "title": "six <particles>"}
    study |= {"command": "diffelec fit --example x", "versions": {"jax": "0.10"}}
    files.write_json(folder / "study.json", study | fields)
    summary = {"verdict": "trusted & true", "remarks": ["one level is held"]}
    files.write_json(folder / "summary.json", summary)
    (folder / "parity.png").write_bytes(PIXEL)
    (folder / "events.csv").write_text("particle,time_h\na<b,3.14159265\nc,7\n")
    (folder / "long.csv").write_text("t\n" + "1.5\n" * 100)
    return folder


def test_a_page_holds_words_tables_and_figures_of_all_folders(tmp_path, capsys):
    first = results(tmp_path / "one")
    results(first / "inner", title="inner", outcome="converged")
    second = results(tmp_path / "two", title="second")
    out = tmp_path / "out"
    assert cli.main(["report", str(first), str(second), "--out", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "study.json"]
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("wrote report.html of 3 folders")
    text = (out / "report.html").read_text(encoding="utf-8")
    assert text.count("<h2>") == 3
    assert text.index("six &lt;particles&gt;") < text.index("second")
    assert "trusted &amp; true" in text
    assert "converged" in text
    assert text.count("<td>a&lt;b</td><td>3.142</td>") == 3
    assert text.count("<td>7</td>") == 3
    assert "100 rows of 1 column" in text
    inside = re.findall(r"base64,([^\"]+)", text)
    assert [base64.b64decode(one) for one in inside] == [PIXEL] * 3
    # Nothing is fetched from elsewhere.
    assert not re.search(r"(src|href)=\"(?!data:)", text)


def test_a_folder_that_is_named_more_than_once_is_shown_once(tmp_path, capsys):
    first, second = results(tmp_path / "one"), results(tmp_path / "two", title="second")
    inner = results(first / "inner", title="inner")
    given = [inner, second, first, second, first / ".." / "two"]
    out = tmp_path / "out"
    assert cli.main(["report", *map(str, given), "--out", str(out)]) == 0
    assert capsys.readouterr().err.startswith("wrote report.html of 3 folders")
    titles = re.findall("<h2>(.*?)</h2>", (out / "report.html").read_text("utf-8"))
    assert len(titles) == 3
    sources = files.read_json(out / "study.json")["sources"]
    assert sources == [str(inner), str(second), str(first)]


def test_the_events_of_a_posterior_are_shown(tmp_path):
    from fitting.posterior_files import EVENT_COLUMNS

    folder = results(tmp_path / "one")
    rows = [EVENT_COLUMNS, [f"cell {k}" for k in range(len(EVENT_COLUMNS))]]
    (folder / "events.csv").write_text("\n".join(",".join(row) for row in rows))
    out = tmp_path / "out"
    assert cli.main(["report", str(folder), "--out", str(out)]) == 0
    assert (
        f"<td>cell {len(EVENT_COLUMNS) - 1}</td>" in (out / "report.html").read_text()
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "must be a folder of results, but is none"),
        (lambda path: path.mkdir(), "neither it nor a folder in it has a study.json"),
        (
            lambda path: results(path) and (path / "study.json").write_text("{"),
            "study.json must be JSON",
        ),
    ],
)
def test_what_is_no_folder_of_results_is_refused(make, words, tmp_path, capsys):
    path = tmp_path / "given"
    make(path)
    out = tmp_path / "out"
    assert cli.main(["report", str(path), "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("name", ["study.json", "summary.json"])
def test_of_several_folders_the_damaged_one_is_named(name, tmp_path, capsys):
    given = [results(tmp_path / part) for part in ("one", "two", "three")]
    (given[1] / name).write_text("{")
    out = tmp_path / "out"
    assert cli.main(["report", *map(str, given), "--out", str(out)]) == 2
    assert f"{given[1]}: {name} must be JSON, but is not" in capsys.readouterr().err


@pytest.mark.parametrize("told", [{"remarks": 5}, {"remarks": "five"}, [5], 5])
def test_remarks_that_are_no_list_are_left_out(told, tmp_path):
    given = results(tmp_path / "given", outcome="converged")
    files.write_json(given / "summary.json", told)
    (part,) = page.parts_of(given)
    assert page._outcomes(part) == ["converged"]


def test_a_page_does_not_replace_the_results_on_it(tmp_path, capsys):
    given = results(tmp_path / "given", files=["summary.json", "study.json"])
    before = sorted(path.name for path in given.iterdir())
    asked = ["report", str(given), "--out", str(given), "--overwrite"]
    assert cli.main(asked) == 2
    assert "would remove results in 'given' that are read" in capsys.readouterr().err
    assert sorted(path.name for path in given.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        # BioLogic writes Latin-1 below a preamble, with commas in its numbers.
        (
            "cycler.csv",
            "BT-Lab ASCII FILE\nNb header lines : 4\nRoom : 25 °C\n"
            "time/s\tEwe/V\tI/mA\n0,0\t3,70001234\t1,0\n60,0\t3,8\t1,0\n",
            ["<th>Ewe/V</th>", "<td>3,70001234</td>"],
        ),
        (
            "onsets.csv",
            "# by hand\nparticle;time_h\nµm 1;0,5\n",
            ["<td>µm 1</td><td>0,5</td>"],
        ),
        ("cycler.csv", "time_s,voltage_V\n0\0,3.7\n", ["not shown: cycler.csv must"]),
        ("cycler.csv", "", ["not shown: cycler.csv must have a header line"]),
        (
            "events.csv",
            "particle,time_h\n2.1,0.123456\n2.10,0.5\n",
            ["<td>2.1</td><td>0.1235</td>", "<td>2.10</td><td>0.5</td>"],
        ),
        (
            "sites.csv",
            "site,particle\n2.10,2.10\n1.0/0,1.0\n",
            ["<td>2.10</td><td>2.10</td>", "<td>1.0/0</td><td>1.0</td>"],
        ),
    ],
)
def test_a_copy_of_a_users_file_is_shown_as_its_reader_takes_it(
    name, text, shown, tmp_path
):
    folder = results(tmp_path / "given")
    (folder / name).write_bytes(text.encode("latin-1"))
    out = tmp_path / "out"
    assert cli.main(["report", str(folder), "--out", str(out)]) == 0
    page = (out / "report.html").read_text(encoding="utf-8")
    for words in shown:
        assert words in page
