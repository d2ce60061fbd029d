# SPDX-License-Identifier: Apache-2.0
"""The group of commands; each lives in a file of its name and is imported when it is called."""

from __future__ import annotations

import click

from ..runtime.progress import lines_on_stderr
from .echo import echo
from .groups import Sections, WorkflowGroup

__all__ = ["cli"]

_COMMANDS: Sections = {
    "Begin": {
        "init": "Write a commented job for a file of data.",
        "data": "Check a file of data before a model learns from it.",
        "inspect": "Show what a model is made of and what a job leaves to train.",
        "estimate": "Say what a job will take, before it runs.",
        "recommend": "Advise what to freeze for a job's data, and why.",
    },
    "Train": {
        "train": "Train what a job does not freeze, save it, prove the rest unmoved.",
        "compare": "Train every freeze mode of a job; say which differ significantly.",
    },
    "Check": {
        "evaluate": "Score a saved model on data.",
        "verify": "Check a saved model against the bits it was saved with.",
    },
    "Use": {
        "predict": "Predict labels of texts or images.",
        "encode": "Give every text or image its vector.",
        "export": "Write a model for programs that run ONNX.",
    },
    "More": {
        "demo": "Compare freeze modes on data that the package carries.",
        "cache": "Show or clear the stored features of frozen parts.",
    },
}


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from .._core import VERSION  # the core alone knows it, and takes longest to import

    echo(f"mtfreeze {VERSION}")
    ctx.exit()


@click.group(
    cls=WorkflowGroup,
    sections=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Fine-tune multi-task models on the CPU and see what freezing parts of them costs.

    \b
    mtfreeze init reviews.csv            a job for your data
    mtfreeze train job.yaml --output out
    mtfreeze predict out "the food was great"

    Results go to stdout, all else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or input,
    3 a frozen tensor changed, 130 ended by Ctrl-C, 143 ended by SIGTERM.
    """
    ctx.with_resource(lines_on_stderr())
