"""Datasets: files and the shipped ones, to a mapping of named arrays; it fits nothing and downloads nothing.

Importing this package imports numpy only: the readers import what they need when they are called.
"""

from __future__ import annotations

from bayesrun.data.catalogue import shipped
from bayesrun.data.checks import check_roles, check_values, conform
from bayesrun.data.files import read
from bayesrun.data.netcdf import load, save

__all__ = ["check_roles", "check_values", "conform", "load", "read", "save", "shipped"]
