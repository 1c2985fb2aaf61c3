"""Each measure by hand, against 4,000 simulated studies, and where the answer is known in closed form."""

import math
import statistics

import numpy as np
import pytest
from scipy import stats

from bayesrun.statistics import measures
from bayesrun.statistics.measures.estimate import NORMAL

H = [1.2, 0.7, 1.9, 0.4, 1.1]
T = [1.0, 1.0, 1.5, 0.5, 1.2]
S = [0.3, 0.2, 0.4, 0.25, 0.35]
ERRORS = [h - t for h, t in zip(H, T, strict=True)]
STUDIES, N = 4000, 200


def approx(value):
    return pytest.approx(value, rel=1e-12)


def test_bias_by_hand():
    found = measures.bias(H, T)
    assert found.value == approx(statistics.mean(ERRORS))
    assert found.mcse == approx(math.sqrt(sum((e - statistics.mean(ERRORS)) ** 2 for e in ERRORS) / (5 * 4)))
    assert found.lower == approx(found.value - 1.96 * found.mcse)
    assert found.upper == approx(found.value + 1.96 * found.mcse)
    assert found.n == 5
    assert isinstance(found.value, float)


def test_relative_bias_by_hand():
    ratios = [e / t for e, t in zip(ERRORS, T, strict=True)]
    found = measures.relative_bias(H, T)
    assert found.value == approx(statistics.mean(ratios))
    assert found.mcse == approx(statistics.stdev(ratios) / math.sqrt(5))


def test_relative_bias_is_absent_near_zero():
    rng = np.random.default_rng(1)
    error = rng.normal(0, 0.1, 500)
    drawn = rng.normal(size=500)
    positive = np.abs(drawn)
    for truth in (np.zeros(500), drawn, positive, np.full(500, 1e-4), np.tile([2.0, -2.0], 250)):
        found = measures.relative_bias(truth + error, truth)
        assert math.isnan(found.value)
        assert found.n == 0
    for truth in (np.full(500, 0.01), np.full(500, -3.0), rng.uniform(1, 2, 500)):
        assert np.isfinite(measures.relative_bias(truth + error, truth).value)


def test_empirical_se_by_hand():
    kappa = 5 * sum((e - statistics.mean(ERRORS)) ** 4 for e in ERRORS)
    kappa /= sum((e - statistics.mean(ERRORS)) ** 2 for e in ERRORS) ** 2
    found = measures.empirical_se(H, T)
    assert found.value == approx(statistics.stdev(ERRORS))
    assert found.mcse == approx(found.value / 2 * math.sqrt((kappa - 1) / 5))
    assert measures.empirical_se(H, T, "normal").mcse == approx(found.value / math.sqrt(8))
    fixed = measures.empirical_se(H, 0.3)
    assert fixed.value == approx(statistics.stdev(H))
    with pytest.raises(ValueError, match="'robust' or 'normal', got 'other'"):
        measures.empirical_se(H, T, "other")


def test_mse_rmse_and_mae_by_hand():
    squares = [e**2 for e in ERRORS]
    mean = statistics.mean(squares)
    found = measures.mse(H, T)
    assert found.value == approx(mean)
    assert found.mcse == approx(math.sqrt(sum((q - mean) ** 2 for q in squares) / (5 * 4)))
    without = [math.sqrt((5 * mean - q) / 4) for q in squares]
    root = measures.rmse(H, T)
    assert root.value == approx(math.sqrt(mean))
    assert root.mcse == approx(math.sqrt(4 / 5 * sum((r - statistics.mean(without)) ** 2 for r in without)))
    absolute = [abs(e) for e in ERRORS]
    assert measures.mae(H, T).value == approx(statistics.mean(absolute))
    assert measures.mae(H, T).mcse == approx(statistics.stdev(absolute) / math.sqrt(5))


def test_model_se_by_hand():
    square = statistics.mean([s**2 for s in S])
    spread = statistics.variance([s**2 for s in S])
    found = measures.model_se(S)
    assert found.value == approx(math.sqrt(square))
    assert found.mcse == approx(math.sqrt(spread / (4 * 5 * square)))
    ratio = math.sqrt(square) / statistics.stdev(ERRORS)
    relative = measures.relative_error_model_se(H, T, S)
    assert relative.value == approx(100 * (ratio - 1))
    assert relative.mcse == approx(100 * ratio * math.sqrt(spread / (4 * 5 * square**2) + 1 / 8))


def test_relative_precision_by_hand():
    other = [0.8, 1.3, 1.1, 0.9, 1.0]
    errors = [h - t for h, t in zip(other, T, strict=True)]
    rho = statistics.correlation(ERRORS, errors)
    ratio = statistics.variance(errors) / statistics.variance(ERRORS)
    found = measures.relative_precision(H, other, T)
    assert found.value == approx(100 * (ratio - 1))
    assert found.mcse == approx(200 * ratio * math.sqrt((1 - rho**2) / 4))
    same = measures.relative_precision(H, H, T)
    assert (same.value, same.mcse) == (0.0, pytest.approx(0.0, abs=1e-5))


def test_z_score_contraction_and_share_by_hand():
    z = [e / s for e, s in zip(ERRORS, S, strict=True)]
    assert measures.z_score(H, T, S).value == approx(statistics.mean(z))
    assert measures.z_score(H, T, S).mcse == approx(statistics.stdev(z) / math.sqrt(5))
    shrunk = [1 - (s / 2) ** 2 for s in S]
    assert measures.contraction(S, 2.0).value == approx(statistics.mean(shrunk))
    assert measures.contraction(S, 2.0).mcse == approx(statistics.stdev(shrunk) / math.sqrt(5))
    m = [0.01, 0.02, 0.03, 0.01, 0.02]
    share = statistics.mean([v**2 for v in m]) / statistics.variance(ERRORS)
    assert measures.mcmc_error_share(m, H, T).value == approx(share)


def test_paired_contrast_by_hand():
    own, other = [0.4, 0.1, 0.9, np.nan], [0.3, 0.2, 0.1, 0.5]
    differences = [0.1, -0.1, 0.8]
    found = measures.paired_contrast(own, other)
    assert found.n == 3
    assert found.value == approx(statistics.mean(differences))
    assert found.mcse == approx(statistics.stdev(differences) / math.sqrt(3))


def test_missing_estimates_are_left_out_and_counted():
    h = [1.2, np.nan, 1.9, np.inf, 1.1, 0.4]
    t = [1.0, 1.0, 1.5, 0.5, np.nan, 0.5]
    kept = measures.bias([1.2, 1.9, 0.4], [1.0, 1.5, 0.5])
    found = measures.bias(h, t)
    assert (found.value, found.mcse, found.n) == (approx(kept.value), approx(kept.mcse), 3)
    for function in (measures.mse, measures.rmse, measures.mae, measures.empirical_se, measures.relative_bias):
        own, same = function(h, t), function([1.2, 1.9, 0.4], [1.0, 1.5, 0.5])
        assert (own.value, own.mcse, own.n) == (approx(same.value), approx(same.mcse), 3)


@pytest.mark.parametrize("function", [measures.bias, measures.mse, measures.rmse, measures.empirical_se, measures.mae])
def test_few_replicates_have_no_error(function):
    nothing, one = function([], []), function([1.5], [1.0])
    assert nothing.n == 0
    assert math.isnan(nothing.value)
    assert math.isnan(nothing.mcse)
    assert one.n == 1
    assert math.isnan(one.mcse)


def test_what_does_not_vary_has_no_ratio():
    same, spread = np.full(50, 0.1), np.linspace(0, 1, 50)
    assert measures.empirical_se(same, 0.3).value == 0.0
    assert measures.empirical_se(same, 0.3).mcse == 0.0
    assert math.isnan(measures.relative_error_model_se(same, 0.3, spread).value)
    assert math.isnan(measures.relative_precision(same, spread, 0.3).value)
    assert math.isnan(measures.mcmc_error_share(spread, same, 0.3).value)
    assert measures.z_score([1.0, 2.0], [0.0, 0.0], [0.0, 1.0]).n == 1
    assert measures.contraction([1.0, 0.5], [0.0, 1.0]).n == 1


def test_many_studies_at_once_are_what_each_one_is():
    rng = np.random.default_rng(2)
    h, t, s = rng.normal(size=(3, 4, 30)), rng.normal(size=(3, 4, 30)), rng.uniform(1, 2, (3, 4, 30))
    h[rng.uniform(size=h.shape) < 0.2] = np.nan
    together = measures.relative_error_model_se(h, t, s)
    assert together.value.shape == (3, 4)
    for i, j in np.ndindex(3, 4):
        alone = measures.relative_error_model_se(h[i, j], t[i, j], s[i, j])
        assert together.value[i, j] == approx(alone.value)
        assert together.mcse[i, j] == approx(alone.mcse)
        assert together.n[i, j] == alone.n


def test_inputs_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="single numbers"):
        measures.bias(1.0, 2.0)
    with pytest.raises(ValueError, match="shape"):
        measures.bias([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="0 or 1"):
        measures.rate([0.0, 0.5])


@pytest.mark.parametrize(("count", "n"), [(0, 1), (0, 50), (50, 50), (1, 7), (95, 100), (1899, 1900)])
def test_wilson_is_that_of_scipy(count, n):
    level = 2 * stats.norm.cdf(NORMAL) - 1
    expected = stats.binomtest(count, n).proportion_ci(level, method="wilson")
    lower, upper = measures.wilson(count, n)
    assert (lower, upper) == (pytest.approx(expected.low, abs=1e-12), pytest.approx(expected.high, abs=1e-12))


def test_wilson_is_never_empty():
    for count in (0, 30):
        found = measures.rate([float(i < count) for i in range(30)])
        assert found.mcse == 0.0
        assert found.lower <= found.value <= found.upper
        assert found.upper - found.lower == pytest.approx(1.96**2 / (30 + 1.96**2))
    lower, upper = measures.wilson(0, 0)
    assert math.isnan(lower)
    assert math.isnan(upper)


def true_sd(values):
    """SD over the simulated studies, and its own Monte Carlo standard error."""
    x = values - values.mean()
    kappa = (x**4).mean() / (x**2).mean() ** 2
    return values.std(ddof=1), values.std(ddof=1) / 2 * math.sqrt((kappa - 1) / len(values))


def test_bias_with_varying_truth_has_the_error_of_errors():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(STUDIES, N))
    found = measures.bias(truth + rng.normal(0, 0.2, (STUDIES, N)), truth)
    spread, own = true_sd(found.value)
    assert abs(spread - 0.2 / math.sqrt(N)) < 4 * own
    assert found.mcse.mean() == pytest.approx(spread, rel=0.1)
    assert found.mcse.mean() == pytest.approx(0.0141, abs=0.0002)
    covered = np.mean((found.lower < 0) & (found.upper > 0))
    assert abs(covered - stats.t.cdf(1.96, N - 1) + stats.t.sf(1.96, N - 1)) < 4 * math.sqrt(0.05 * 0.95 / STUDIES)


def test_skewed_errors_have_the_published_figures():
    rng = np.random.default_rng(4)
    h = rng.gamma(2.0, size=(STUDIES, N)) - 1.5  # a bias of a half
    robust, normal = measures.empirical_se(h, 0.0), measures.empirical_se(h, 0.0, "normal")
    assert true_sd(robust.value)[0] == pytest.approx(0.112, abs=0.004)
    assert robust.mcse.mean() == pytest.approx(0.104, abs=0.003)
    assert normal.mcse.mean() == pytest.approx(0.071, abs=0.002)
    square, root = measures.mse(h, 0.0), measures.rmse(h, 0.0)
    assert true_sd(square.value)[0] == pytest.approx(0.391, abs=0.015)
    assert true_sd(square.value)[0] == pytest.approx(math.sqrt(30 / N), abs=0.015)
    assert square.mcse.mean() == pytest.approx(0.373, abs=0.01)
    assert true_sd(root.value)[0] == pytest.approx(0.129, abs=0.004)
    assert root.mcse.mean() == pytest.approx(0.125, abs=0.003)
    assert root.mcse.mean() == pytest.approx(true_sd(root.value)[0], rel=0.1)


@pytest.mark.parametrize("fixed", [True, False])
def test_relative_precision_with_drawn_truth_has_the_error_of_errors(fixed):
    rng = np.random.default_rng(5)
    truth = 0.7 if fixed else rng.normal(size=(STUDIES, N))
    shared = rng.normal(0, 0.2, (STUDIES, N))
    own, other = shared + rng.normal(0, 0.1, (STUDIES, N)), shared + rng.normal(0, 0.15, (STUDIES, N))
    found = measures.relative_precision(truth + own, truth + other, truth)
    expected = 100 * ((0.2**2 + 0.15**2) / (0.2**2 + 0.1**2) - 1)
    spread, own_error = true_sd(found.value)
    assert abs(np.median(found.value) - expected) < 5 * spread / math.sqrt(STUDIES)
    assert found.mcse.mean() == pytest.approx(spread, rel=0.1)
    assert own_error < 0.02 * spread
    if not fixed:  # estimates share the truth, and their correlation would promise an error far too small
        rho = np.corrcoef((truth + own)[0], (truth + other)[0])[0, 1]
        assert 200 * (1 + expected / 100) * math.sqrt((1 - rho**2) / (N - 1)) < 0.5 * spread


def test_errors_of_all_other_measures_are_their_spread_over_studies():
    rng = np.random.default_rng(6)
    size = (STUDIES, N)
    truth = rng.uniform(1, 3, size)
    s = 0.2 * np.sqrt(rng.chisquare(12, size) / 12)
    h = truth + rng.normal(0.05, 0.2, size)
    low, high = h - 1.2 * s, h + 1.2 * s
    m = 0.03 * np.sqrt(rng.chisquare(8, size) / 8)
    cases = {
        "relative_bias": measures.relative_bias(h, truth),
        "mae": measures.mae(h, truth),
        "model_se": measures.model_se(s),
        "relative_error_model_se": measures.relative_error_model_se(h, truth, s),
        "z_score": measures.z_score(h, truth, s),
        "contraction": measures.contraction(s, 1.0),
        "mcmc_error_share": measures.mcmc_error_share(m, h, truth),
        "coverage": measures.coverage(low, high, truth),
        "miss_left": measures.miss_left(low, high, truth),
        "miss_right": measures.miss_right(low, high, truth),
        "width": measures.width(low, high),
        "interval_score": measures.interval_score(low, high, truth, 0.8),
    }
    for name, found in cases.items():
        assert found.mcse.mean() == pytest.approx(true_sd(found.value)[0], rel=0.1), name
