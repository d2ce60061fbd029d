# SPDX-License-Identifier: Apache-2.0
"""Pytest plugin: what the fixture `freeze_comparison` does once a test asks for it.

Called by ``mtfreeze_pytest.py`` at the top of the tree, which is all that pytest loads in suites
that do not use it; calls comparisons. `running.py` answers the fixture, `kept.py` says under which
key results are kept and shares their folder among processes, `asserting.py` has the assertions,
`reporting.py` what reports, JUnit files and the terminal get. Needs pytest, and is imported only by
name.
"""

from __future__ import annotations

from .asserting import FreezeComparison

__all__ = ["FreezeComparison"]
