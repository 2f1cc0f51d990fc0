import json
import types

import numpy as np
import PIL.Image
import pytest
import tifffile

from fitting import cli
from fitting.commands import traces
from fitting.optical import quality_figures
from fitting.optical.traces import Traces

from .made_film import made_film


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """The process of the tests keeps its own environment."""
    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """A folder with a film and circles."""
    folder = tmp_path_factory.mktemp("traces")
    _, truth = made_film(14, (110, 140), 4, blurred=(6,), drift=(2, 1), jump=(0, 0))
    metadata = {"axes": "TYX", "finterval": 120.0}
    tifffile.imwrite(
        folder / "film.tif", truth["frames"], imagej=True, metadata=metadata
    )
    rows = [f"p{k},{x},{y},{r}" for k, (x, y, r) in enumerate(truth["circles"])]
    (folder / "circles.csv").write_text("\n".join(["particle,x_px,y_px,r_px", *rows]))
    return folder


def run(*arguments):
    return cli.main([str(a) for a in arguments])


def test_traces_are_written_with_quality_and_the_next_step(inputs, tmp_path, capsys):
    out = tmp_path / "out"
    film, circles = inputs / "film.tif", inputs / "circles.csv"
    assert run("traces", film, "--regions", circles, "--out", out) == 0
    printed = capsys.readouterr()
    assert "14 frames of 140 x 110 px" in printed.out
    assert "frame interval of ImageJ" in printed.out
    assert "note: 1 frame (7) masked: out of focus." in printed.out
    assert f"next: diffelec onsets {out}/traces.csv --cycler FILE" in printed.out
    study = json.loads((out / "study.json").read_text())
    assert study["files"] == sorted(p.name for p in out.iterdir())
    assert set(study["files"]) == {
        *("traces.csv", "quality.csv", "regions.csv", "study.json"),
        *("quality.png", "regions.png"),
    }
    assert study["arguments"]["statistic"] == "trimmed-mean"
    for name in ("quality.png", "regions.png"):
        with PIL.Image.open(out / name) as image:
            assert image.width > 1000
            assert np.asarray(image.convert("L")).std() > 5


def test_regions_are_drawn_on_a_frame_that_shows_something(
    inputs, tmp_path, monkeypatch
):
    drawn = []

    def figure(image, regions, name):
        drawn.append(image)
        return plain(image, regions, name)

    plain = quality_figures.regions_figure
    monkeypatch.setattr(quality_figures, "regions_figure", figure)
    frames = tifffile.imread(inputs / "film.tif")
    frames[0] = 0
    path = tmp_path / "film.tif"
    tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"})
    given = ["traces", path, "--interval-s", 60, "--out", tmp_path / "out"]
    assert run(*given, "--regions", inputs / "circles.csv") == 0
    np.testing.assert_allclose(drawn[0], frames[1] / 255, atol=1e-6)


def test_proposed_regions_can_be_given_back(inputs, tmp_path, capsys):
    pytest.importorskip("skimage")
    film, out = inputs / "film.tif", tmp_path / "regions"
    assert (
        run(
            *("traces", film, "--propose", "--interval-s", 60.000125),
            *("--search-px", 30, "--out", out),
        )
        == 0
    )
    words = capsys.readouterr().out.rpartition("next: diffelec ")[2].split()
    assert words[words.index("--interval-s") + 1] == "60.000125"
    assert words[words.index("--search-px") + 1] == "30.0"
    words[-1] = str(tmp_path / "traces")
    assert run(*words) == 0
    assert "as asked" in capsys.readouterr().out
    assert (tmp_path / "traces" / "traces.csv").exists()


REFUSED = [
    (["--out", "x"], "one of the arguments --regions --propose is required"),
    (["--regions", "none.csv", "--out", "x"], "none.csv' cannot be used: No such file"),
    (
        ["--propose", "--interval-s", "-1", "--out", "x"],
        "must be positive, but is -1 s",
    ),
    (["--propose", "--search-px", "0", "--out", "x"], "--search-px must be positive"),
    (["--propose", "--erode-px", "-1", "--out", "x"], "--erode-px must be 0 or more"),
    (["--propose", "--erode-px", "100", "--out", "x"], "and below 100, but is 100."),
    (["--propose", "--erode-px", "0", "--out", "x"], "must come with --regions"),
    (["--propose", "--dark", "no.tif", "--out", "x"], "--dark must come with --reg"),
]


@pytest.mark.parametrize(("words", "sentence"), REFUSED)
def test_a_command_that_cannot_be_is_refused(inputs, tmp_path, capsys, words, sentence):
    words = [str(tmp_path / w) if w in ("x", "none.csv") else w for w in words]
    assert run("traces", inputs / "film.tif", *words) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_table_of_particles_is_aligned_and_tells_no_nan():
    values = np.array([[0.25, 0.5, 0.625], [np.nan] * 3])
    names = ("a particle in the corner", "b")
    seen = Traces(60.0 * np.arange(3), names, values)
    quality = types.SimpleNamespace(
        kept=np.ones(3, bool),
        dx=np.zeros(3),
        dy=np.zeros(3),
        num_pixels=np.ones((2, 3), int),
    )
    head, first, second = traces.summary(seen, quality).splitlines()[1:]
    assert head.split() == ["particle", "px", "first", "last", "frames"]
    assert len({len(line) for line in (head, first, second)}) == 1
    assert first.endswith("1   0.2500   0.6250       3")
    assert second.split() == ["b", "1", "-", "-", "0"]
