"""Order conditions of the Rosenbrock methods, tree by tree.

Trees with two kinds of vertices (Hairer and Wanner, Solving ODEs II, VI.4): meagre ones
stand for derivatives of y, fat ones for z, where y' = f(y, z) and 0 = g(y, z). Trees
without fat vertices are those of ordinary differential equations (IV.7): an only child
sees beta = alpha + Gamma, siblings see alpha.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from diffelec.solver import RODAS4P2, RODAS5P

METHODS = [pytest.param(RODAS4P2, id="Rodas4P2"), pytest.param(RODAS5P, id="Rodas5P")]
TOLERANCE = 1e-12


def partitions(total, largest):
    """Ways to write a number as a sum, largest parts first."""
    if total == 0:
        yield ()
    for part in range(min(total, largest), 0, -1):
        for rest in partitions(total - part, part):
            yield (part, *rest)


def forests(total, least):
    """Sets of `least` trees or more with `total` meagre vertices in all."""
    for parts in partitions(total, total):
        if len(parts) < least:
            continue
        pools = [
            itertools.combinations_with_replacement(
                meagre(size) + fat(size), parts.count(size)
            )
            for size in sorted(set(parts))
        ]
        for chosen in itertools.product(*pools):
            yield tuple(itertools.chain.from_iterable(chosen))


@functools.cache
def meagre(order):
    """Trees with a meagre root and `order` meagre vertices, as (is_fat, children)."""
    if order == 1:
        return ((False, ()),)
    return tuple((False, children) for children in forests(order - 1, 1))


@functools.cache
def fat(order):
    """Trees with a fat root: one meagre child, or two children and more."""
    single = [(True, (tree,)) for tree in meagre(order)]
    return (*single, *[(True, children) for children in forests(order, 2)])


def is_ordinary(tree):
    is_fat, children = tree
    return not is_fat and all(is_ordinary(child) for child in children)


def order_of(tree):
    is_fat, children = tree
    return (not is_fat) + sum(order_of(child) for child in children)


def density(tree):
    is_fat, children = tree
    own = 1 if is_fat else order_of(tree)
    return own * math.prod(density(child) for child in children)


class Textbook:
    """A tableau in the form k = h F(…) + h J Gamma k, by u = Gamma k."""

    def __init__(self, tableau):
        size = tableau.num_stages
        self.gammas = np.linalg.inv(np.eye(size) / tableau.gamma - tableau.c_matrix)
        self.alpha = tableau.a @ self.gammas
        self.beta = self.alpha + self.gammas
        last = np.append(tableau.a[-1, :-1], 1.0)
        self.b = last @ self.gammas
        self.embedded = tableau.a[-1] @ self.gammas  # without the last stage
        self.dense = tableau.dense @ self.gammas
        self._sums = {}

    def sums(self, tree):
        """Phi_i of a tree, (stage,)."""
        if tree not in self._sums:
            is_fat, children = tree
            if not children:
                value = np.ones(len(self.b))
            elif len(children) == 1:
                value = self.sums(children[0])
                value = value if is_fat else self.beta @ value
            else:
                seen = [self.alpha @ self.sums(child) for child in children]
                value = np.prod(seen, axis=0)
                value = np.linalg.solve(self.beta, value) if is_fat else value
            self._sums[tree] = value
        return self._sums[tree]

    def defect(self, weights, trees, theta=1.0):
        """Largest violation of the order conditions of some trees."""
        defects = [
            weights @ self.sums(t) - theta ** order_of(t) / density(t) for t in trees
        ]
        assert np.all(np.isfinite(defects))
        return np.max(np.abs(defects))


textbook = functools.cache(Textbook)


def trees_up_to(order, kind):
    return [tree for n in range(1, order + 1) for tree in kind(n)]


def test_there_are_as_many_trees_as_in_the_literature():
    ordinary = [sum(is_ordinary(t) for t in meagre(n)) for n in range(1, 6)]
    assert ordinary == [1, 1, 2, 4, 9]
    # By hand, order 2: an only child of either kind; and a fat root over one tree of
    # order 2 or over two of the two kinds of order 1.
    assert [len(meagre(n)) for n in (1, 2)] == [1, 2]
    assert [len(fat(n)) for n in (1, 2)] == [1, 2 + 3]


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_has_its_order_for_ordinary_equations(tableau):
    method = textbook(tableau)
    trees = filter(is_ordinary, trees_up_to(tableau.order, meagre))
    assert method.defect(method.b, list(trees)) < TOLERANCE


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_has_no_more_than_its_order(tableau):
    method = textbook(tableau)
    trees = filter(is_ordinary, meagre(tableau.order + 1))
    assert method.defect(method.b, list(trees)) > 1e-4


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_has_its_order_for_the_columns_of_an_index_one_system(tableau):
    method = textbook(tableau)
    assert method.defect(method.b, trees_up_to(tableau.order, meagre)) < TOLERANCE


@pytest.mark.parametrize("tableau", METHODS)
def test_the_potentials_of_an_index_one_system_lack_one_order_locally(tableau):
    # R(inf) = 0 keeps this from adding up: the global order is that of the columns.
    method = textbook(tableau)
    assert method.defect(method.b, trees_up_to(tableau.order - 1, fat)) < TOLERANCE


@pytest.mark.parametrize("tableau", METHODS)
def test_the_embedded_method_is_one_order_lower(tableau):
    method = textbook(tableau)
    lower = trees_up_to(tableau.order - 1, meagre)
    assert method.defect(method.embedded, lower) < TOLERANCE
    same = list(filter(is_ordinary, meagre(tableau.order)))
    assert method.defect(method.embedded, same) > 1e-3


@pytest.mark.parametrize("theta", [0.0, 0.2, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("tableau", METHODS)
def test_dense_output_is_one_order_lower_all_along_the_step(tableau, theta):
    method = textbook(tableau)
    bracket = sum(theta**m * row for m, row in enumerate(method.dense))
    weights = theta * (method.b + (1 - theta) * bracket)
    trees = trees_up_to(tableau.order - 1, meagre)
    assert method.defect(weights, trees, theta) < TOLERANCE


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_is_stiffly_accurate(tableau):
    method = textbook(tableau)
    assert np.all(np.isfinite(method.beta))
    np.testing.assert_allclose(method.b, method.beta[-1], atol=TOLERANCE)
    np.testing.assert_allclose(method.alpha[-1].sum(), 1.0, atol=TOLERANCE)


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_damps_infinitely_fast_modes_at_once(tableau):
    method = textbook(tableau)
    at_infinity = 1.0 - method.b @ np.linalg.solve(method.beta, np.ones(len(method.b)))
    assert np.isfinite(at_infinity)
    np.testing.assert_allclose(at_infinity, 0.0, atol=TOLERANCE)


@pytest.mark.parametrize("tableau", METHODS)
def test_the_method_amplifies_no_oscillation(tableau):
    method = textbook(tableau)
    size = len(method.b)
    for frequency in 1j * np.geomspace(1e-2, 1e4, 121):
        system = np.eye(size) - frequency * method.beta
        growth = 1.0 + frequency * method.b @ np.linalg.solve(system, np.ones(size))
        assert np.isfinite(growth)
        assert abs(growth) <= 1.0 + 1e-12


@pytest.mark.parametrize("tableau", METHODS)
def test_every_stage_shares_one_factorisation(tableau):
    method = textbook(tableau)
    np.testing.assert_allclose(np.diag(method.gammas), tableau.gamma, rtol=1e-14)
    assert np.max(np.abs(np.triu(method.gammas, 1))) < 1e-14
    assert np.all(np.triu(tableau.a) == 0)
    assert np.all(np.triu(tableau.c_matrix) == 0)


PUBLISHED_NODES = [
    pytest.param(
        RODAS4P2, [0, 0.75, 0.321448134013046, 0.519745732277726, 1, 1], id="Rodas4P2"
    ),
    pytest.param(
        RODAS5P,
        [
            0,
            0.6358126895828704,
            0.4095798393397535,
            0.9769306725060716,
            0.4288403609558664,
            1,
            1,
            1,
        ],
        id="Rodas5P",
    ),
]


@pytest.mark.parametrize(("tableau", "nodes"), PUBLISHED_NODES)
def test_the_row_sums_of_alpha_are_the_published_nodes(tableau, nodes):
    sums = textbook(tableau).alpha.sum(axis=1)
    assert np.all(np.isfinite(sums))
    np.testing.assert_allclose(sums, nodes, atol=1e-13)


@pytest.mark.parametrize(
    ("tableau", "weights"),
    [
        pytest.param(
            RODAS4P2,
            [0.25, -0.5, -0.189532918363016, 0.085612108792769, 0, 0],
            id="Rodas4P2",
        ),
        pytest.param(
            RODAS5P,
            [
                0.21193756319429014,
                -0.42387512638858027,
                -0.3384627126235924,
                1.8046452872882734,
                2.325825639765069,
                0,
                0,
                0,
            ],
            id="Rodas5P",
        ),
    ],
)
def test_the_time_weights_are_the_published_ones(tableau, weights):
    given = tableau.time_weights
    assert np.all(np.isfinite(given))
    np.testing.assert_allclose(given, weights, atol=1e-13)


@pytest.mark.parametrize(("tableau", "nodes"), PUBLISHED_NODES)
def test_the_nodes_of_the_stages_are_the_published_ones(tableau, nodes):
    assert np.all(np.isfinite(tableau.nodes))
    np.testing.assert_allclose(tableau.nodes, nodes, atol=1e-13)


@pytest.mark.parametrize("tableau", METHODS)
def test_the_textbook_form_is_that_of_the_stages_times_gamma(tableau):
    method = textbook(tableau)
    alpha, gammas, b = tableau.standard
    np.testing.assert_allclose(gammas, method.gammas, atol=1e-13)
    np.testing.assert_allclose(alpha, method.alpha, atol=1e-13)
    np.testing.assert_allclose(b, method.b, atol=1e-13)
