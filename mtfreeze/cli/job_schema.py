# SPDX-License-Identifier: Apache-2.0
"""The JSON Schema of the job file, for editors: ``python -m mtfreeze.cli.job_schema`` prints it.

``job.schema.json`` beside this file is written by ``tools/job_schema.py`` from the tables that jobs
are checked against.
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["SCHEMA_FILE"]

SCHEMA_FILE = Path(__file__).with_name("job.schema.json")
"""Where the schema lies."""


def main() -> None:
    """Print the schema."""
    sys.stdout.write(SCHEMA_FILE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
