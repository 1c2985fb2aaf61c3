"""NUTS for many datasets at once: every lane of one compiled program is a chain that goes at its own pace."""
