#!/usr/bin/env python3
"""Writes reference.json beside it: samples, and what scipy, numpy and Evidently make of them.

    python3 -m venv VENV && VENV/bin/pip install scipy==1.17.1 numpy==2.4.6 pandas==2.3.3 evidently==0.7.23
    VENV/bin/python tests/corpus/drift/reference.py

A sample is a list of [value, how often]. Nothing of ours takes part, and the seeds are fixed: run again, it is the same file.
"""

import json
import pathlib
import warnings

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests.chisquare_stattest import _chi_stat_test
from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
from evidently.legacy.calculations.stattests.ks_stattest import _ks_stat_test
from evidently.legacy.calculations.stattests.psi import _psi
from evidently.legacy.calculations.stattests.registry import _get_default_stattest
from evidently.legacy.calculations.stattests.wasserstein_distance_norm import _wasserstein_distance_norm
from evidently.legacy.calculations.stattests.z_stattest import _z_stat_test
from evidently.legacy.core import ColumnType
from scipy import special, stats

warnings.simplefilter("ignore")
NUMBER, CATEGORY = ColumnType.Numerical, ColumnType.Categorical


def counted(sample):
    counts = sample.value_counts().sort_index()
    return [[value, int(count)] for value, count in counts.items()]


def psi_of_quantiles(reference, current, bins=30):
    """PSI over bins that each hold a thirtieth of the reference, zeros filled in by Evidently's rule."""
    inner = np.unique(np.quantile(reference, np.linspace(0, 1, bins + 1)[1:-1]))
    edges = np.concatenate(([-np.inf], inner, [np.inf]))
    shares = [np.histogram(sample, edges)[0] / len(sample) for sample in (reference, current)]
    for share in shares:
        least = share[share != 0].min()
        share[share == 0] = least / 10**6 if least <= 0.0001 else 0.0001
    reference, current = shares
    return float(np.sum((reference - current) * np.log(reference / current)))


def numbers(name, reference, current):
    reference, current = (pd.Series(np.asarray(sample, dtype=float)) for sample in (reference, current))
    few = reference.nunique() <= 20
    ks = stats.ks_2samp(reference, current)
    assert ks.pvalue == _ks_stat_test(reference, current, NUMBER, 0.05)[0]
    return {
        "name": name,
        "reference": counted(reference),
        "current": counted(current),
        "default": _get_default_stattest(reference, current, NUMBER).name,
        "ks_statistic": float(ks.statistic),
        "ks": float(ks.pvalue),
        "wasserstein": float(_wasserstein_distance_norm(reference, current, NUMBER, 0.1)[0]),
        "jensenshannon": float(_jensenshannon(reference, current, NUMBER, 0.1)[0]),
        "psi_sturges": float(_psi(reference, current, NUMBER, 0.1)[0]),
        "psi": float(_psi(reference, current, NUMBER, 0.1)[0]) if few else psi_of_quantiles(reference, current),
    }


def categories(name, reference, current):
    reference, current = pd.Series(reference), pd.Series(current)
    numeric = pd.api.types.is_numeric_dtype(reference)
    return {
        "name": name,
        "reference": counted(reference),
        "current": counted(current),
        "default": _get_default_stattest(reference, current, NUMBER if numeric else CATEGORY).name,
        "chisquare": float(_chi_stat_test(reference, current, CATEGORY, 0.05)[0]),
        "z": float(_z_stat_test(reference, current, CATEGORY, 0.05)[0]),
        "jensenshannon": float(_jensenshannon(reference, current, CATEGORY, 0.1)[0]),
        "psi": float(_psi(reference, current, CATEGORY, 0.1)[0]),
    }


def samples():
    random = np.random.default_rng(5)
    normal = lambda mean, deviation, size: np.round(random.normal(mean, deviation, size), 4)
    yield numbers("the same", normal(0, 1, 100), normal(0, 1, 80))
    yield numbers("shifted", normal(10, 2, 100), normal(11, 2, 80))
    yield numbers("of equal size", normal(0, 1, 60), normal(0.3, 1, 60))
    yield numbers("small", normal(0, 1, 7), normal(0, 1, 5))
    yield numbers("wider", normal(0, 1, 400), normal(0, 1.5, 300))
    yield numbers("far away", normal(0, 1, 200), normal(50, 1, 150))
    yield numbers("long tail", np.round(random.lognormal(3, 1, 500), 2), np.round(random.lognormal(3.1, 1, 300), 2))
    yield numbers("large and small", normal(0, 1, 1000), normal(0.2, 1, 30))
    yield numbers("beyond a thousand", normal(5, 1, 1200), normal(5.1, 1, 250))
    yield numbers("ties", random.poisson(20, 700), random.poisson(21, 300))
    yield numbers("few values", random.integers(0, 12, 500), random.integers(1, 14, 200))
    yield numbers("constant", [3.5] * 50, normal(3.5, 1, 40))
    yield numbers("asymptotic", random.poisson(40, 20_000), random.poisson(40, 900))
    yield numbers("asymptotic, shifted", random.poisson(40, 20_000), random.poisson(41, 900))
    yield numbers("asymptotic, both large", random.poisson(60, 30_000), random.poisson(60, 15_000))
    yield numbers("asymptotic, and few", random.poisson(60, 30_000), random.poisson(61, 40))


def frequencies():
    random = np.random.default_rng(6)
    colours = np.array(["red", "green", "blue", "white"])
    choose = lambda shares, size: random.choice(colours[: len(shares)], size, p=shares)
    yield categories("the same", choose([0.5, 0.3, 0.1, 0.1], 500), choose([0.5, 0.3, 0.1, 0.1], 300))
    yield categories("shifted", choose([0.5, 0.3, 0.1, 0.1], 500), choose([0.4, 0.4, 0.1, 0.1], 300))
    yield categories("a new one", choose([0.5, 0.3, 0.2], 500), choose([0.5, 0.3, 0.15, 0.05], 300))
    yield categories("one is gone", choose([0.5, 0.3, 0.15, 0.05], 500), choose([0.5, 0.3, 0.2], 300))
    yield categories("two", choose([0.6, 0.4], 500), choose([0.55, 0.45], 300))
    yield categories("one", choose([1.0], 50), choose([0.9, 0.1], 30))
    yield categories("many of them", choose([0.5, 0.3, 0.1, 0.1], 5000), choose([0.5, 0.25, 0.15, 0.1], 300))
    yield categories("two numbers", random.integers(0, 2, 400), random.choice([0, 1], 200, p=[0.4, 0.6]))
    yield categories("four numbers", random.integers(0, 4, 400), random.integers(0, 4, 200))


def functions():
    kolmogorov = [
        [n, d, float(stats.kstwo.sf(d, n))]
        for n in (1, 2, 5, 30, 100, 140, 141, 500, 3000, 50_000, 250_000)
        for d in (0.6 / n, 0.9 / n, *(c / n**0.5 for c in (0.3, 0.5, 0.7, 0.9, 1.2, 1.5, 2, 3, 4)), 0.7, 0.95)
        if d < 1
    ]
    chi_squared = [
        [df, x, float(special.chdtrc(df, x))]
        for df in (1, 2, 3, 10, 57, 1000, 9999)
        for x in (0.0, 0.01 * df, 0.5 * df, 0.95 * df, df, 1.1 * df, 1.5 * df + 1, 3 * df + 10)
    ]
    return {"kolmogorov": kolmogorov, "chi_squared": chi_squared}


def main():
    parts = {"numbers": list(samples()), "categories": list(frequencies()), **functions()}
    lines = [f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]" for key, cases in parts.items()]
    path = pathlib.Path(__file__).with_name("reference.json")
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
