"""Estimates on the terminal: which scalars are shown, and how."""

import io

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from bayesrun.errors import ConfigError
from bayesrun.report.estimates import Estimates, chosen, estimates_table, of_variables, shown_after
from fake_trees import fake_spec, fake_summary, fake_tree

BETA = [f"beta[x{i}]" for i in range(15)]
MU = [f"mu[{i}]" for i in range(20)]


def summary(**columns):
    frame = fake_summary(fake_tree()).assign(ci_lb=-1.0, ci_ub=1.0, ess_bulk=812.3, ess_tail=700.0)
    return frame.assign(**columns)


def rendered(thing, width=80):
    file = io.StringIO()
    Console(file=file, width=width).print(thing)
    return file.getvalue()


def test_small_variables_come_first_and_none_has_a_row_for_each_observation():
    shown, left_out = chosen([*BETA, "sigma", *MU], 24, observations=20)
    assert shown == ["sigma", *BETA]
    assert left_out == {"mu": 20}


def test_a_variable_is_shown_whole_or_not_at_all():
    shown, left_out = chosen(["a", *BETA, "b"], 12)
    assert shown == ["a", "b"]
    assert left_out == {"beta": 15}


def test_many_scalars_are_bounded():
    shown, left_out = chosen([f"b{i}" for i in range(40)], 24)
    assert len(shown) == 24
    assert len(left_out) == 16


def test_what_is_not_shown_is_named_with_its_size_and_how_to_see_it():
    table, rest = shown_after(Estimates(fake_spec(), summary(), 8, "bayesrun show s"), 3)
    assert table.row_count == 10
    assert rest == "not shown: theta (8); they are in fits/k0/summary.parquet; bayesrun show s k0 --var theta"


def test_the_interval_is_named_and_numbers_have_the_digits_of_their_error():
    frame = summary(mean=4.40866, sd=3.18136, mcse_mean=0.05, mcse_sd=0.04, ci_lb=-0.61234, ci_ub=9.5)
    frame.attrs = {"ci_prob": 0.95, "ci_kind": "hdi"}
    text = rendered(estimates_table(Estimates(fake_spec(), frame), ["mu"]))
    assert "95% HDI" in text
    assert text.splitlines()[-2].split() == ["mu", "4.41", "3.18", "[-0.61,", "9.50]", "812", "1.000"]


def test_no_number_has_seventy_digits():
    frame = summary(mean=-1e70, sd=1e69, mcse_mean=0.05, mcse_sd=np.nan, ci_lb=-1e70, ci_ub=1e70)
    text = rendered(estimates_table(Estimates(fake_spec(), frame), ["mu"]))
    assert "-1e+70" in text
    assert max(map(len, text.split())) < 60  # the rule below the head
    assert "00000" not in text


def test_columns_that_no_scalar_has_are_left_out():
    text = rendered(estimates_table(Estimates(fake_spec(), summary(ess_bulk=np.nan, rhat=np.nan)), ["mu"]))
    assert "ESS" not in text
    assert "R-hat" not in text


def test_variables_and_elements_are_named_as_in_rules():
    labels = ["mu", "theta[A, x]", "theta[B, x]", "theta_raw[A]"]
    assert of_variables(labels, ["theta"]) == ["theta[A, x]", "theta[B, x]"]
    assert of_variables(labels, ["theta[A,x]", "mu"]) == ["theta[A, x]", "mu"]


@pytest.mark.parametrize(("name", "near"), [("thta", "theta"), ("theta[a]", "theta[A]")])
def test_a_wrong_name_is_refused_with_the_nearest(name, near):
    with pytest.raises(ConfigError, match="no variable or element") as refused:
        of_variables(["mu", "theta[A]", "theta[B]"], [name])
    assert f"did you mean {near}? there are mu, theta" in str(refused.value)


def test_labels_that_occur_twice_are_shown_once():
    frame = pd.concat([summary(), summary()])
    assert estimates_table(Estimates(fake_spec(), frame), ["mu"]).row_count == 1
