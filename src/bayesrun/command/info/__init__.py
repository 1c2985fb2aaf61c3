"""What there is to choose from, told from where it is written anyway: comments of configs, docstrings, roles.

No module of a model or sampler is imported, and nothing of a user's is run.
"""

from bayesrun.command.info.about import About, Key, about, options_of
from bayesrun.command.info.catalogue import Catalogue
from bayesrun.command.info.shown import as_values, lines, listing

__all__ = ["About", "Catalogue", "Key", "about", "as_values", "lines", "listing", "options_of"]
