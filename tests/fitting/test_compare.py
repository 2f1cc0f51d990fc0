"""`diffelec compare`: what is said of evidence, and the command on closed forms."""

import contextlib
import csv
import dataclasses
import io
import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest

import diffelec
from fitting import cli, compare, compare_figures, compare_files
from fitting.commands import job
from fitting.evidence import Evidence
from fitting.left_out import LeftOut

from .linear import HOUR
from .test_fit import written
from .test_left_out import EachItsOwn, setup_of_four


class Late(EachItsOwn):
    """The same 8 h later."""

    def __call__(self, electrode):
        found = super().__call__(electrode)
        return dataclasses.replace(found, times=found.times + 8.0 * HOUR)


SEARCHED = SimpleNamespace(
    num_evaluations=7, num_failed=1, settled=True, message=lambda: "converged"
)
CUT_OFF = SimpleNamespace(num_evaluations=7, num_failed=1, settled=False)
RIVALS = {"network": EachItsOwn(), "diffusion": Late()}


def evidence_of(log_evidence, sd=0.05, shape=0.3, best=0.0):
    return Evidence(
        *(log_evidence, sd, shape, 100.0),
        *(np.zeros((4, 6)), np.full((4, 4), 6 * HOUR), np.full(4, best)),
        *(best, 100, 0),
    )


def contender(name, log_evidence, left=None, **fields):
    densities = np.array(left if left is not None else [0.0] * 4)
    without = LeftOut(np.zeros((3, 4)), np.full(4, 0.2), densities, 2200)
    chi, found = fields.pop("chi", 0.5), fields.pop("found", SEARCHED)
    return compare.Contender(
        *(name, setup_of_four(), found, evidence_of(log_evidence, **fields)),
        *(without, np.full(4, np.inf), 4.0, chi),
    )


def compared(*contenders):
    return compare.compared("made up", contenders)


def test_the_most_probable_is_first_and_favoured_where_it_is_sure():
    found = compared(contender("diffusion", -12.0), contender("network", -5.0))
    assert [c.name for c in found.contenders] == ["network", "diffusion"]
    np.testing.assert_allclose(found.probabilities[1], np.exp(-7) / (1 + np.exp(-7)))
    assert found.favoured == "network"
    assert found.verdict().startswith("The data favour 'network': its probability is 0")


def test_nothing_is_favoured_within_the_error_of_the_evidence():
    near = [contender("network", -5.0), contender("diffusion", -8.2)]
    assert compared(*near).favoured == "network"
    loose = [contender("network", -5.0, sd=0.5), contender("diffusion", -8.2, sd=0.5)]
    found = compared(*loose)
    assert found.probabilities[0] > compare.SURE > found.least_probability
    assert found.favoured is None
    assert found.verdict() == (
        "The data cannot tell: 'network' 0.96, 'diffusion' 0.04."
    )


def test_weights_that_do_not_hold_matter_only_where_they_could_change_the_answer():
    bad = {"shape": 0.9}
    open_ = compared(contender("network", -5.0), contender("diffusion", -30.0, **bad))
    assert open_.unreliable == ("diffusion",)
    assert open_.favoured is None
    assert "evidence of diffusion do not hold" in open_.verdict()
    # Its likelihood is nowhere as large as the evidence of the other.
    far = contender("diffusion", -30.0, best=-15.0, **bad)
    closed = compared(contender("network", -5.0), far)
    assert closed.unreliable == ()
    assert closed.favoured == "network"


def test_weights_of_the_best_that_do_not_hold_put_it_too_low_rather_than_too_high():
    bad = {"shape": 0.9}
    far = compared(contender("network", -5.0, **bad), contender("diffusion", -30.0))
    assert far.unreliable == ()
    assert far.favoured == "network"
    # Within ln 20 = 3.0 of being sure (ln 19 = 2.9 ahead), it may be luck.
    near = compared(contender("network", -5.0, **bad), contender("diffusion", -10.8))
    assert near.probabilities[0] > 0.99
    assert near.unreliable == ("network",)
    assert near.favoured is None
    ahead = compared(contender("network", -5.0, **bad), contender("diffusion", -11.2))
    assert ahead.favoured == "network"
    sure = compared(contender("network", -5.0), contender("diffusion", -10.8))
    assert sure.favoured == "network"


def test_a_best_mechanism_that_does_not_fit_is_named():
    found = compared(contender("network", -5.0, chi=1e-5), contender("diffusion", -30))
    assert "does not explain the data" in found.verdict()
    assert "probability of 1e-05" in found.verdict()


def test_a_search_that_did_not_settle_is_named_and_its_mechanism_not_blamed():
    best = contender("network", -5.0, chi=1e-5, found=CUT_OFF)
    verdict = compared(best, contender("diffusion", -30.0)).verdict()
    assert "the search of 'network' did not settle" in verdict
    assert "raise --max-steps" in verdict
    assert "does not explain" not in verdict
    settled = compared(contender("network", -5.0), contender("diffusion", -30.0))
    assert "settle" not in settled.verdict()


def test_the_likelihood_that_a_cut_off_search_met_bounds_nothing():
    bad = {"shape": 0.9, "best": -15.0}
    far = contender("diffusion", -30.0, found=CUT_OFF, **bad)
    found = compared(contender("network", -5.0), far)
    assert found.unreliable == ("diffusion",)
    assert found.favoured is None


@pytest.mark.parametrize(("failed", "named"), [(119, ()), (120, ("diffusion",))])
def test_a_mechanism_of_which_many_solves_failed_is_named(failed, named):
    best, other = contender("network", -5.0), contender("diffusion", -30.0)
    own = other.evidence._replace(num_solves=1200, num_failed=failed)
    found = compared(best, other._replace(evidence=own))
    assert found.failing == named
    said = "behind the evidence of 'diffusion' failed" in found.verdict()
    assert said == bool(named)


def test_differences_of_left_out_particles_have_the_scatter_among_them():
    first, second = [-3.0, -2.0, -4.0, -1.0], [-3.5, -3.0, -4.2, -2.3]
    found = compared(
        contender("network", -5.0, second), contender("diffusion", -6.0, first)
    )
    worse, best = found.differences()
    off = np.subtract(second, first)
    assert worse.value == pytest.approx(off.sum())
    assert worse.sd == pytest.approx(2.0 * off.std(ddof=1))
    assert (best.value, best.sd) == (0.0, 0.0)
    text = compare_files.text(found)
    assert f"{off.sum():.1f} ± {worse.sd:.1f}" in text
    gone = found.contenders[0]._replace(left_out=None)
    assert found._replace(contenders=(gone, *found.contenders[1:])).differences() is (
        None
    )


def test_a_comparison_by_whole_traces_has_no_figure_of_events(tmp_path):
    pair = [contender("network", -5.0), contender("diffusion", -6.0)]
    for c in pair:
        blind = dataclasses.replace(c.setup, fitted=np.zeros(4, bool))
        bare = c.evidence._replace(times=np.zeros((4, 0)))
        pair = [*pair[1:], c._replace(setup=blind, evidence=bare, left_out=None)]
    compare_files.write(tmp_path, compared(*pair))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"summary.json", "mechanisms.csv", "events.csv", "evidence.png"}
    assert len((tmp_path / "events.csv").read_text().splitlines()) == 1


def test_one_particle_has_no_scatter_that_could_be_stated():
    found = compared(
        contender("network", -5.0, [-3.0]), contender("diffusion", -6, [-4])
    )
    off = [one.sd for one in found.differences()]
    assert np.all(np.isnan(off))
    cells = [line.split()[-1] for line in compare_files.text(found).splitlines()[1:3]]
    assert cells == ["0.0", "-1.0"]
    compare_figures.evidence_figure(found).draw_without_rendering()


def prepared(arguments, name, free, **_):
    """Rivals in closed form in place of simulations."""
    found = setup_of_four()
    problem = dataclasses.replace(found.problem, forward=RIVALS[name])
    own = dataclasses.replace(found, problem=problem, forward=RIVALS[name])
    return job.Job(arguments, None, own, "closed forms")


def test_bars_of_both_panels_are_of_one_deviation_and_say_so():
    left = [-3.0, -2.0, -4.0, -1.0]
    found = compared(
        contender("network", -5.0, left, sd=0.4),
        contender("diffusion", -6.0, [-3.5, -3.0, -4.2, -2.3], sd=0.2, shape=0.9),
    )
    evidence, unseen = compare_figures.evidence_figure(found).axes
    for axes, sds in (
        (evidence, [0.4, 0.2]),
        (unseen, [one.sd for one in found.differences()]),
    ):
        drawn = [bars.get_segments()[0] for bars in axes.collections]
        np.testing.assert_allclose([np.ptp(x[:, 0]) / 2 for x in drawn], sds)
        assert "± 1 sd" in axes.get_xlabel() + axes.get_title()
    assert "hollow" in evidence.get_title()
    sure = compared(contender("network", -5.0), contender("diffusion", -6.0))
    assert "hollow" not in compare_figures.evidence_figure(sure).axes[0].get_title()


@pytest.fixture(scope="module")
def weighed(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        patch.setattr(job, "prepare_one", prepared)
        patch.setattr(job, "copy_sources", lambda *_: None)
        patch.setattr(job, "_in_units", lambda _: {})
        command = ["compare", "--example", "wolfman2023-nmc333", "--out", str(out)]
        command += ["--mechanisms", "diffusion", "network", "--draws", "960"]
        with contextlib.redirect_stderr(io.StringIO()) as told:
            status = cli.main(command)
    return status, out, told.getvalue()


def test_the_command_says_how_each_search_ended(weighed):
    lines = weighed[2].splitlines()
    ends = [line for line in lines if line.startswith("search: converged; ")]
    assert len(ends) == 2


def test_the_command_writes_all_files_and_only_those(weighed):
    status, out, _ = weighed
    assert status == 0
    names = sorted(path.name for path in out.iterdir())
    study = json.loads((out / "study.json").read_text())
    assert names == study["files"]
    tables = {"summary.json", "mechanisms.csv", "particles.csv", "events.csv"}
    assert tables | {"evidence.png", "predictions.png"} < set(names)
    assert study["mechanisms"] == ["network", "diffusion"]
    again = cli.parser().parse_args(shlex.split(study["command"])[1:])
    assert (again.mechanisms, again.draws) == (["diffusion", "network"], 960)


def test_the_rival_that_is_off_by_hours_loses(weighed):
    summary = json.loads((weighed[1] / "summary.json").read_text())
    assert summary["favoured"] == "network"
    first, second = summary["mechanisms"]
    assert first["evidence_pareto_k"] < 0.7
    assert second["log_evidence"] < first["log_evidence"] - 3.0
    assert (first["left_out_difference"], first["failed_solves"]) == (0.0, 0)
    # Told of three late particles it foretells a fourth nearly as well.
    assert -2.0 < second["left_out_difference"] < 0.0
    with open(weighed[1] / "events.csv", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["mechanism"] == "network"]
    for row in rows:
        ends = [float(row[f"{name}_h"]) for name in ("low_90", "median", "high_90")]
        assert ends == sorted(ends)
        assert ends[0] - 0.5 < float(row["time_h"]) < ends[2] + 0.5


@pytest.mark.parametrize("kind", [ValueError, diffelec.SimulationError])
def test_a_mechanism_that_cannot_be_weighed_is_named(
    kind, tmp_path, capsys, monkeypatch
):
    def fail(_):
        raise kind("None can be solved.")

    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.setattr(job, "prepare_one", prepared)
    monkeypatch.setattr(job, "search", fail)
    command = ["compare", "--example", "wolfman2023-nmc333"]
    command += ["--mechanisms", "diffusion", "network", "--out", str(tmp_path / "out")]
    assert cli.main(command) == (2 if kind is ValueError else 1)
    assert capsys.readouterr().err.splitlines()[-1] == (
        "diffelec: diffusion: None can be solved. To weigh the others alone, name them "
        "by --mechanisms."
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mechanisms", "network"], "must name two or more"),
        (["--mechanisms", "network", "network"], "each of them once"),
        (["--mechanisms", "network", "magic"], "must be one of network, auto"),
        (["--draws", "99"], "--draws must be 100 or more, but is 99"),
        (["--draws", "9" * 11], "--draws must be 10000000 or less, but is 9999"),
    ],
)
def test_bad_arguments_end_in_one_sentence(words, message, tmp_path, capsys):
    command = ["compare", "--example", "wolfman2023-nmc333"]
    command += ["--out", str(tmp_path / "out"), *words]
    assert cli.main(command) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_the_cycler_table_is_described_once(tmp_path, capsys, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "prepare_environment", lambda *_, **__: None)
    monkeypatch.setattr(job, "search", interrupt)
    command = ["compare", *written(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main([*command, "--mechanisms", "network", "diffusion"]) == 130
    assert capsys.readouterr().err.count("c.csv: plain table") == 1


def test_a_current_or_a_protocol_cannot_serve_all_mechanisms(tmp_path, capsys):
    command = ["compare", "--example", "sharma2022", "--out", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli, "prepare_environment", lambda *_, **__: None)
        patch.setattr(job, "search", lambda _: pytest.fail("not before all are read"))
        assert cli.main(command) == 2
    said = capsys.readouterr().err
    assert "must be driven by a recorded voltage" in said
    assert "take another --example (wolfman2023-nmc333, wolfman2023-nmc532), " in said


def test_what_the_weights_hold_is_asked_of_their_number():
    sure = evidence_of(-3.0, shape=0.6)
    assert not sure.reliable  # of 100 draws
    assert sure._replace(num_solves=1200).reliable
    left = LeftOut(np.zeros((3, 4)), np.full(4, 0.6), np.zeros(4), 160)
    assert left.doubtful.all()
    assert not left._replace(num_draws=1600).doubtful.any()
    assert left._replace(shapes=np.full(4, np.nan), num_draws=1600).doubtful.all()
