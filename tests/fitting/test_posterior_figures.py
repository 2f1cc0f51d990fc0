import itertools
import types

import numpy as np
import pytest

from fitting import posterior_figures


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
