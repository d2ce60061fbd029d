# SPDX-License-Identifier: Apache-2.0
"""The exceptions of mtfreeze: one tree, so that ``except mtfreeze.Error`` catches them all.

Each class also inherits from the built-in exception that says the same thing (``ValueError``,
``LookupError``, ``RuntimeError``), so code that knows nothing of mtfreeze handles them as well.
A wrong Python *type* stays a ``TypeError`` and a failing disk stays an ``OSError``.

Every message has three parts: what was expected, what was found, what to do.
"""

from __future__ import annotations

from .printable import printable_lines

__all__ = [
    "CheckpointError",
    "ConcurrencyError",
    "ConfigError",
    "DataError",
    "Error",
    "SelectorError",
    "TrainingError",
]


class Error(Exception):
    """Base class of every exception that mtfreeze defines."""

    def __str__(self) -> str:
        return printable_lines(super().__str__())


class ConfigError(Error, ValueError):
    """An argument, a head's description, a YAML file or a command-line option does not hold."""


class DataError(Error, ValueError):
    """Data files, rows or labels that cannot be used; the message names row, or file and line."""


class SelectorError(Error, LookupError):
    """A selector (``"backbone"``, ``"layers[2:5]"``, a head's name ...) that matches nothing.

    A ``LookupError`` but not a ``KeyError``, because ``str()`` of a ``KeyError`` is quoted.
    """


class CheckpointError(Error, ValueError):
    """Weights, configuration or tokenizer files that are damaged or do not fit one another."""


class TrainingError(Error, RuntimeError):
    """Training cannot go on, for example a non-finite loss; the weights were left untouched."""


class ConcurrencyError(Error, RuntimeError):
    """Two threads used one model at the same time; give each its own ``model.copy()``."""
