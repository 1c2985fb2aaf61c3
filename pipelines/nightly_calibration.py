"""Every night, on datasets never seen before: is the hierarchical model still calibrated with numpyro."""

from bayesrun.schedule import Gates, Pipeline

PIPELINE = Pipeline(
    experiment="sbc_eight_schools",
    about="Calibration of the hierarchical model with numpyro, on new datasets every night.",
    schedule="17 1 * * *",
    overrides=("study.replicates=500",),
    gates=Gates(
        alpha=0.001,  # with two questions at most one false alarm in 500 nights
        calibrated=True,
        coverage={0.5: 0.0, 0.95: 0.0},  # truth is drawn from the prior, so that coverage is the level itself
        max_failed=0.05,
    ),
)
