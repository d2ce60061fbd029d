# SPDX-License-Identifier: Apache-2.0
"""Data check: what is in a file of data, and what of it cannot be read.

A file is read as training would read it, but to its end: every row that does not hold is kept with
its error. Of several files it is said what they have in common. Called by the command line and the
user; knows kinds of heads, and of a model no more than its tokenizer.
"""

from __future__ import annotations

from .check import check_data
from .report import DataCheck, DataChecks

__all__ = ["DataCheck", "DataChecks", "check_data"]
