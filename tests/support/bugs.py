# SPDX-License-Identifier: Apache-2.0
"""What a planted bug is; the tables of them are `bugs_in_c` and `bugs_in_python`."""

from __future__ import annotations

from typing import NamedTuple


class Bug(NamedTuple):
    """One change for the worse.

    Attributes
    ----------
    what : str
        What is wrong then.
    path : str
        The file, from the root of the project.
    right, wrong : str
        Text that stands in it once, and what it becomes.
    seen_by : str
        ``c:NAME``, a test of ``tests/c``, or arguments for pytest.
    """

    what: str
    path: str
    right: str
    wrong: str
    seen_by: str

    @property
    def in_c(self) -> bool:
        """True if the bug has to be compiled."""
        return self.path.startswith("csrc/")
