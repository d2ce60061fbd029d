# SPDX-License-Identifier: Apache-2.0
"""``python -m mtfreeze.freeze_control --mode backbone``: what a freeze mode leaves to train.

Runs without a file, on the configuration that the package carries (``presets/``): a sentence
encoder with a topic head and a sentiment head. Prints one line, the table of units, what freezing
saves, and draws the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["PRESET", "main"]

PRESET = Path(__file__).parent / "presets" / "freeze_control.yaml"
"""The job that the package carries."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and leave the process with its exit code (see ``cli/guard.py``)."""
    from .cli.signals import run_command

    def run() -> int:
        from .cli.guard import run_guarded

        return run_guarded(_load, arguments, program="freeze_control")

    raise SystemExit(run_command(run))


def _load() -> click.Command:
    import click

    from .cli.build import apply_freezing, build_model
    from .cli.inspect import show_freezing
    from .cli.once import OnceCommand
    from .cli.options import JobOptions, job_options, json_option

    @click.command(cls=OnceCommand, context_settings={"help_option_names": ["-h", "--help"]})
    @job_options
    @click.option(
        "--picture",
        default="outputs/trainability.png",
        show_default=True,
        metavar="FILE.png",
        help="Where the picture is written.",
    )
    @json_option
    def freeze_control(job: JobOptions, picture: str, as_json: bool) -> None:
        """Show what a freeze mode leaves to train: table and picture."""
        config = job.read(usual=PRESET)
        model = build_model(config)
        apply_freezing(model, config.freezing)
        show_freezing(model, picture, as_json)

    return freeze_control


if __name__ == "__main__":
    main()
