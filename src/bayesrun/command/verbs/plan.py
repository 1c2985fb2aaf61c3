"""`bayesrun plan`: how many replicates a target needs."""

from __future__ import annotations

import click

from bayesrun.base.verb_hints import verb as hint
from bayesrun.command.verbs.stored_study import names, output_dir, store_of
from bayesrun.command.verbs.usage import verb
from bayesrun.errors import ConfigError

__all__ = ["command"]

TARGETS = "MEASURE=MCSE is a measure with the error that it may have: coverage=0.01, bias=0.02, power=0.02, ..."


@verb("plan", "bayesrun plan coverage=0.01 power=0.02", "bayesrun plan bias=0.02 --pilot my_study", words=TARGETS)
@click.argument("targets", nargs=-1, required=True, metavar="MEASURE=MCSE...")
@click.option(
    "--pilot", metavar="STUDY", help="A study whose measures say how much replicates vary.", shell_complete=names
)
@output_dir
def command(targets: tuple[str, ...], pilot: str | None, output_dir: str) -> int:
    """Say how many replicates a target needs."""
    from bayesrun.command import terminal
    from bayesrun.statistics.measures import check_targets, needed

    wanted = dict(_target(text) for text in targets)
    check_targets(wanted)
    measured = None
    if pilot:
        import pandas as pd

        from bayesrun.store.turns import whole

        store = store_of(pilot, output_dir)
        path = store.tables / "measures.parquet"
        with whole(store.root):
            if not path.exists():
                remedy = hint("report", store.root)
                raise ConfigError(f"{pilot}: it has no tables/measures.parquet; make it first: {remedy}")
            measured = pd.read_parquet(path)
    count = needed(wanted, measured)
    basis = f"by what {pilot} measured" if pilot else "in the worst case, without a pilot"
    terminal.console().print(f"{count} replicates, {basis}", markup=False)
    return 0


def _target(text: str) -> tuple[str, float]:
    name, _, value = text.rpartition("=")
    try:
        return name, float(value)
    except ValueError:
        raise ConfigError(f"{text}: wanted MEASURE=MCSE, for instance coverage=0.01") from None
