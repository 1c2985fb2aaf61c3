"""Any names and labels that PyMC takes: the fit is stored, ArviZ opens the file, and the names come back."""

import arviz as az
import numpy as np
import pytest

from bayesrun.base.label_forms import told_apart
from bayesrun.base.netcdf_names import dim_of_tree
from bayesrun.types import SamplerOptions, Steps, Target
from bayesrun.work.worker import execute
from hostile_models import MODELS
from tiny_models import batch, spec, stored

DRAWN = ("money", "mathematics", "long", "other scripts")
"""Those whose figures are drawn, which takes longest."""

DRAWS = SamplerOptions(draws=20, chains=2)


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # R-hat of few zeros and ones
@pytest.mark.filterwarnings("ignore:Found dimension named 'sample'")  # PyMC's own tree has the name as it is
@pytest.mark.filterwarnings("ignore:Estimated shape parameter of Pareto")  # of few draws
@pytest.mark.usefixtures("interpreted")
@pytest.mark.parametrize("case", MODELS)
def test_a_fit_with_hostile_names_is_stored_and_read(case, tmp_path):
    hostile, store = MODELS[case], stored(tmp_path)
    model = Target("hostile", "hostile_models.build", {"case": case})
    (outcome,) = execute(
        batch(spec(model=model, steps=Steps(prior_draws=20, figures=case in DRAWN), options=DRAWS)), store
    )
    assert outcome.status == "done", (store.fit_folder("k0") / "error.txt").read_text()
    assert not outcome.absent_steps
    assert "elpd_loo" in outcome.diagnostics
    assert not [line for line in outcome.warnings if line.startswith(("figure", "whether prior"))]

    tree = store.read_tree("k0")
    assert {*hostile.names, "nobody", "positive"} == set(tree["posterior"].data_vars)
    dim = dim_of_tree(hostile.dim)
    labels = list(hostile.labels if hostile.read is None else hostile.read)
    for group in ("posterior", "posterior_predictive", "observed_data", "log_likelihood", "constant_data"):
        np.testing.assert_array_equal(tree[group].coords[dim].values, _array(labels))
    rows = store.read_summary("k0").index
    assert list(rows[:3]) == [f"{hostile.names[0]}[{label}]" for label in told_apart(list(map(str, labels)))]
    assert rows.is_unique
    assert set(hostile.names[1:]) <= set(rows)

    file = az.from_netcdf(store.fit_folder("k0") / "posterior.nc")
    for group in ("prior", "posterior_predictive", "sample_stats", "observed_data"):
        assert group in file.children
    shown = az.summary(file)
    assert len(shown) == 2 * len(labels) + len(hostile.names) - 1
    assert az.loo(file).n_data_points == len(labels)


def _array(labels):
    array = np.empty(len(labels), dtype=object)
    array[:] = labels
    return array
