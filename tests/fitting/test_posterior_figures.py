import itertools
import types

import numpy as np
import pytest

from fitting import design_figures, posterior_figures, style


def test_labels_of_neighbours_in_the_pairs_do_not_run_together():
    labels = [f"log10 diffusivity at x=0.9{k} [log10(m2/s)]" for k in range(4)]
    values = np.random.default_rng(3).normal(-14.5, 0.02, (2, 100, 4))
    draws = types.SimpleNamespace(diverging=np.zeros((2, 100), bool))
    found = types.SimpleNamespace(values=values, draws=draws, labels=labels)
    figure = posterior_figures.pairs_figure(found)
    figure.draw_without_rendering()
    panels = np.array(figure.axes).reshape(4, 4)
    across = [axes.xaxis.label.get_window_extent() for axes in panels[-1]]
    gaps = [b.x0 - a.x1 for a, b in itertools.pairwise(across)]
    assert min(gaps) > 5
    up = [axes.yaxis.label.get_window_extent() for axes in panels[1:, 0]]
    assert min(a.y0 - b.y1 for a, b in itertools.pairwise(up)) > 5


@pytest.mark.parametrize("varied", [(), (2,), (1, 3)])
def test_pairs_of_numbers_of_which_few_vary_are_drawn(varied):
    values = np.broadcast_to(np.array([0.1, -14.9, 3.0, 0.7]), (2, 16, 4)).copy()
    values[..., varied] = np.random.default_rng(3).normal(size=(2, 16, len(varied)))
    chosen = posterior_figures.most_correlated(values, 3)
    assert len(set(chosen)) == 3
    assert set(varied) <= set(chosen)
    draws = types.SimpleNamespace(diverging=np.zeros((2, 16), bool))
    found = types.SimpleNamespace(values=values, draws=draws, labels=list("abcd"))
    posterior_figures.pairs_figure(found).draw_without_rendering()


def chains(count, num_draws=40):
    """A stand-in for what was found of some numbers."""
    labels = [f"number {k}" for k in range(count)]
    described = [types.SimpleNamespace(bulk=400.0 + k, rhat=1.0) for k in range(count)]
    values = np.random.default_rng(3).normal(size=(2, num_draws, count))
    draws = types.SimpleNamespace(diverging=np.zeros((2, num_draws), bool))
    diagnosis = types.SimpleNamespace(quantities=described)
    return types.SimpleNamespace(
        values=values, draws=draws, labels=labels, diagnosis=diagnosis
    )


@pytest.mark.parametrize("name", ["traces_figure", "ranks_figure"])
@pytest.mark.parametrize("count", [1, 3, 4])
def test_the_lowest_panel_of_each_column_has_numbers_and_a_label(name, count):
    figure = getattr(posterior_figures, name)(chains(count))
    figure.draw_without_rendering()
    used = [axes for axes in figure.axes if axes.axison]
    lowest = {round(axes.get_position().x0, 2): axes for axes in used}
    assert len(used) == count
    assert len(lowest) == min(count, 2)
    for axes in lowest.values():
        assert axes.get_xlabel()
        assert any(tick.label1.get_visible() for tick in axes.xaxis.get_major_ticks())


def test_few_draws_make_few_bars():
    panels = posterior_figures.pairs_figure(chains(2, num_draws=32)).axes
    assert len(panels[0].patches) == 8
    many = posterior_figures.pairs_figure(chains(2, num_draws=2000)).axes
    assert len(many[0].patches) == 30


def test_crosses_and_the_band_of_ranks_are_in_legends():
    found = chains(2)
    assert not posterior_figures.pairs_figure(found).legends
    found.draws.diverging[0, 3] = True
    for draw, words in (
        (posterior_figures.pairs_figure, "draw whose trajectory diverged"),
        (posterior_figures.ranks_figure, "99 % of bins of independent draws"),
    ):
        (legend,) = draw(found).legends
        assert [text.get_text() for text in legend.get_texts()] == [words]


def test_long_names_beside_what_sharpens_leave_the_panel_its_width():
    name = "a particle named after the scanning session of March, third region"
    labels = [f"log10 contact radius {name} [log10(m)]", "log10 reactivity a"]
    one = types.SimpleNamespace(name="again", gain=1.0, shrinkage=np.array([0.5, 0.6]))
    found = types.SimpleNamespace(expected=[one], labels=labels)
    figure = design_figures.sharpening_figure(found)
    figure.draw_without_rendering()
    assert figure.axes[0].get_position().width > 0.35
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert shown == [f"{labels[0][:26]}…{labels[0][-25:]}", labels[1]]


def test_long_names_leave_pairs_their_height():
    found = chains(3)
    name = "a particle named after the scanning session of March, third region"
    found.labels = [f"log10 contact radius {name} {k} [log10(m)]" for k in range(3)]
    figure = posterior_figures.pairs_figure(found)
    figure.draw_without_rendering()
    (lowest,) = (axes for axes in figure.axes[-1:] if axes.axison)
    assert lowest.xaxis.label.get_text().count("\n") < 4


def test_an_interval_of_one_time_is_seen():
    figure = style.blank(40, 30)
    axes = figure.add_subplot()
    times = np.full(5, 7200.0)
    posterior_figures.draw_interval(axes, times, 1e6, 0.5, color="red", linewidth=2.5)
    axes.set(xlim=(0, 4), ylim=(0, 1))
    figure.canvas.draw()
    red, green, _ = np.asarray(figure.canvas.buffer_rgba())[..., :3].T.astype(int)
    assert np.sum(red - green > 100) > 3


@pytest.mark.parametrize(("count", "num_draws"), [(4, 500), (2, 500), (1, 200)])
def test_the_band_holds_as_many_bins_of_ranks_as_its_legend_says(count, num_draws):
    generator, found = np.random.default_rng(7), chains(1)
    found.values = generator.normal(size=(count, num_draws, 1))
    axes = posterior_figures.ranks_figure(found).axes[0]
    band = axes.patches[0].get_extents().transformed(axes.transData.inverted())
    bins = []
    for _ in range(100):
        order = generator.permutation(count * num_draws).reshape(count, num_draws)
        bins += [np.bincount(row * 20 // order.size, minlength=20) for row in order]
    share = np.mean((np.array(bins) < band.y0) | (np.array(bins) > band.y1))
    if count > 1:
        assert 0.003 < share < 0.011
    else:  # alone, a chain has the same number in each bin
        assert share == 0
        assert band.height == pytest.approx(1.0)


@pytest.mark.parametrize("num_draws", [4, 50, 70, 210])
def test_the_band_holds_bins_of_a_rank_more_or_less(num_draws):
    """A chain alone has all ranks, which no 20 bins share evenly here."""
    low, high = posterior_figures.even_band(1, num_draws)
    counts = posterior_figures.rank_counts(np.arange(1.0 * num_draws)[None])
    assert len(np.unique(counts)) == 2
    assert np.all((counts > low) & (counts < high))


def test_ranks_fall_into_even_bins_at_both_ends():
    counts = posterior_figures.rank_counts(np.arange(200.0).reshape(4, 50))
    assert counts.sum(axis=0).tolist() == [10] * 20


@pytest.mark.parametrize("still", [0, 1, 6])
def test_numbers_that_never_moved_do_not_hide_those_told_worst(still):
    found = chains(8)
    for k, bulk in ((still, np.nan), (7, 10.0)):
        found.diagnosis.quantities[k].bulk = bulk
    found.diagnosis.quantities[still].rhat = np.nan
    assert posterior_figures._hardest(found, 6)[:2] == [still, 7]
