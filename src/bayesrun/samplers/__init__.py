"""Ways to draw from a posterior, one file each; every one is a `bayesrun.types.SampleFunction`.

A sampler's module has ``sample``, ``VERSION`` (raised when the same seed gives other draws), ``KIND``
(``nuts``, ``mcmc``, ``smc`` or ``variational``: what its draws are, and so which diagnostics they have) and
``DISCRETE`` (whether it takes models with discrete free variables). Samplers do not import one another; what
they share is in ``groups`` (the groups they write) and ``variational``.
"""
