"""Figures of one fit (`one_fit`) and of a simulation study (`one_study`), as PNG files; it draws and judges nothing."""

from bayesrun.figures.one_fit import MAX_SCALARS, Figures, choose_scalars, fit_figures

__all__ = ["MAX_SCALARS", "Figures", "choose_scalars", "fit_figures"]
