# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze export``: a model in the language of another program."""

from __future__ import annotations

import click

from .echo import echo
from .once import OnceCommand
from .options import debug_option

__all__ = ["export"]


@click.command(cls=OnceCommand)
@click.argument("model")
@click.option(
    "--onnx",
    metavar="FOLDER",
    required=True,
    help="Write ONNX files, a configuration, a tokenizer.",
)
@click.option(
    "--head", "heads", multiple=True, metavar="NAME", help="A head to export, too; repeatable."
)
@debug_option
def export(model: str, onnx: str, heads: tuple[str, ...]) -> None:
    """Write the encoder of a model, and chosen heads, for programs that run ONNX.

    \b
    mtfreeze export outputs/reviews --onnx exported --head classifier
    """
    from ..multi_task_model import MultiTaskModel

    folder = MultiTaskModel.from_pretrained(model).export_onnx(onnx, heads)
    for path in sorted((folder / "onnx").iterdir()):
        echo(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
