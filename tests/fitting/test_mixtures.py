"""Mixtures of Student's laws, against SciPy's and the draws that they are fitted to."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import logsumexp
from scipy.stats import multivariate_t

from fitting.mixtures import Mixture, fit_mixture

SHARE = np.array([0.3, 0.7])
MIDDLE = np.array([[4.0, 0.0, 1.0], [-2.0, 1.0, 0.0]])
FACTOR = np.array(
    [
        [[0.5, 0.0, 0.0], [0.2, 0.4, 0.0], [0.0, -0.3, 0.6]],
        [[1.0, 0.0, 0.0], [0.0, 0.3, 0.0], [0.5, 0.0, 0.8]],
    ]
)
LAW = Mixture(*map(jnp.asarray, (SHARE, MIDDLE, FACTOR)))


def drawn(law, count, key):
    return np.asarray(jax.jit(jax.vmap(law.draw))(jax.random.split(key, count)))


def test_the_density_is_that_of_scipy(key):
    points = drawn(LAW, 50, key)
    each = [
        np.log(p) + multivariate_t(m, f @ f.T, df=LAW.degrees).logpdf(points)
        for p, m, f in zip(SHARE, MIDDLE, FACTOR, strict=True)
    ]
    found = jax.jit(jax.vmap(LAW.log_density))(points)
    np.testing.assert_allclose(found, logsumexp(each, axis=0), rtol=1e-12)


def test_draws_have_the_shares_and_widths_of_the_law(key):
    points = drawn(LAW, 8000, key)
    first = points[:, 0] > 1.5  # laws hardly overlap
    assert abs(first.mean() - 0.3) < 0.02
    wider = LAW.degrees / (LAW.degrees - 2.0)
    for k, part in enumerate((points[first], points[~first])):
        np.testing.assert_allclose(part.mean(0), MIDDLE[k], atol=0.06)
        np.testing.assert_allclose(
            np.cov(part.T), wider * FACTOR[k] @ FACTOR[k].T, atol=0.15
        )


def test_a_fit_finds_the_laws_of_draws_and_is_somewhat_wider(key):
    points = drawn(Mixture(LAW.share, LAW.middle, LAW.factor, 200.0), 2000, key)
    found = fit_mixture(points[:130])  # 20 draws for each of 3 numbers, twice
    assert found.share.shape == (2,)
    order = np.argsort(found.share)
    np.testing.assert_allclose(found.share[order], SHARE, atol=0.1)
    np.testing.assert_allclose(found.middle[order], MIDDLE, atol=0.4)
    points = drawn(Mixture(jnp.ones(1), *LAW_OF_ONE, 200.0), 110, key)
    found = fit_mixture(points)
    own = np.cov(points.T, bias=True)
    shape = np.asarray(found.factor[0] @ found.factor[0].T)
    wider = 1.21 * (found.degrees - 2.0) / found.degrees
    expected = wider * (110 * own + 3 * np.eye(3)) / 113
    np.testing.assert_allclose(shape, expected, rtol=1e-6, atol=1e-9)


LAW_OF_ONE = (LAW.middle[:1], LAW.factor[:1])


def test_two_draws_of_many_numbers_span_a_volume_nonetheless(key):
    found = fit_mixture(np.asarray(jax.random.normal(key, (2, 30))))
    assert found.share.shape == (1,)
    widths = np.linalg.eigvalsh(np.asarray(found.factor[0] @ found.factor[0].T))
    assert widths.min() > 0.5
