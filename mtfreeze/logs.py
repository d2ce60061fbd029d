# SPDX-License-Identifier: Apache-2.0
"""What the library logs, for those who ask: which files are opened, what is computed with.

Through `logging`, each module under its own name below ``mtfreeze``, at the levels INFO (once a
process, a model or a run) and DEBUG (once a file). Nothing is written anywhere unless the program
that uses the library says so; what a user must know is a warning, never a record. Commands take
``--verbose``.
"""

from __future__ import annotations

import logging

__all__ = ["logger"]

# Without a handler of its own a library's records would count as nobody's.
logging.getLogger(__package__).addHandler(logging.NullHandler())


def logger(module: str) -> logging.Logger:
    """Return the logger of a module, which gives its ``__name__``."""
    return logging.getLogger(module)
