"""Every Sunday: does linear regression still find the parameters that its data were made with."""

from bayesrun.schedule import Gates, Pipeline

PIPELINE = Pipeline(
    experiment="recovery_linear",
    about="Bias and coverage of linear regression at three sample sizes, by two samplers.",
    schedule="43 2 * * 0",
    gates=Gates(
        alpha=0.001,
        calibrated=False,  # recovery asks for coverage and bias; nightly_calibration for calibration
        coverage={0.95: 0.03},  # of a fixed truth it need not be the level itself
        max_failed=0.02,
    ),
)
