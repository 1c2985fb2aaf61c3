"""Arrays in, numbers out: convergence, LOO, calibration, measures, and what passes as good enough."""
