"""What lies between a command line and its study: each job is composed once, and nothing is imported for nothing."""

import subprocess
import sys

from hydra._internal.config_loader_impl import ConfigLoaderImpl

from bayesrun.command import study
from command_line import bayesrun

UNUSED = ("arviz_plots", "matplotlib.pyplot", "mlflow", "numba", "ray", "scipy.stats")
"""What a command that finds every fit done does without."""


def test_each_job_of_a_sweep_is_composed_once(workdir, monkeypatch):
    composed: list[tuple[str, ...]] = []
    load = ConfigLoaderImpl.load_sweep_config

    def counted(self, master_config, sweep_overrides):
        composed.append(tuple(sweep_overrides))
        return load(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", counted)
    monkeypatch.setattr(study, "run", lambda settings, cells, console, apart: study.Result(0))
    ran = bayesrun("-m", "model=linear", "sampler.draws=10,20,30", "dispatch=serial")
    assert ran.code == 0, ran
    assert sorted(composed) == [
        ("model=linear", f"++sampler.draws={draws}", "dispatch=serial") for draws in (10, 20, 30)
    ]


def test_a_job_that_cannot_be_composed_is_refused_before_any_other_starts(workdir, monkeypatch):
    monkeypatch.setattr(study, "run", None)
    ran = bayesrun("-m", "sampler=nuts,nutz")
    assert ran.code == 2
    assert "sampler=nutz: there is no sampler 'nutz'; did you mean nuts?" in ran.err


def test_a_study_is_imported_without_what_only_some_need():
    told = f"import sys, bayesrun.command.study; print(*({set(UNUSED)!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []
