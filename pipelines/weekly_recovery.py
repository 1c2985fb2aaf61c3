"""Every Sunday: does linear regression still find the parameters that its data were made with."""

from bayesrun.schedule import Gates, Pipeline

PIPELINE = Pipeline(
    experiment="recovery_linear",
    about="Bias and coverage of linear regression with numpyro, at three sample sizes.",
    schedule="43 2 * * 0",
    overrides=("sampler=numpyro",),  # the experiment's other sampler, ADVI, is known for intervals that are too short
    gates=Gates(
        alpha=0.001,  # with three cells at most one false alarm in 300 weeks
        calibrated=False,  # that asks for truth drawn from the prior, as in nightly_calibration
        coverage={0.95: 0.03},  # of a fixed truth it need not be the level itself
        max_failed=0.02,
    ),
)
