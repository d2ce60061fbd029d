# SPDX-License-Identifier: Apache-2.0
"""The group of commands; each lives in a file of its name."""

from __future__ import annotations

import click

from .._core import VERSION
from .cache import cache
from .compare import compare
from .data import data
from .demo import demo
from .encode import encode
from .estimate import estimate
from .export import export
from .inspect import inspect
from .predict import predict
from .recommend import recommend
from .train import train
from .verify import verify

__all__ = ["cli"]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(VERSION, prog_name="mtfreeze", message="%(prog)s %(version)s")
def cli() -> None:
    """Fine-tune multi-task models on the CPU and see what freezing parts of them costs.

    Exit codes: 0 done, 1 failed, 2 wrong usage or input, 3 a frozen tensor changed,
    130 ended by Ctrl-C, 143 ended by SIGTERM.
    """


for _command in (
    train,
    compare,
    estimate,
    recommend,
    inspect,
    verify,
    predict,
    encode,
    export,
    data,
    demo,
    cache,
):
    cli.add_command(_command)
