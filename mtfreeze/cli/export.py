# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze export``: a model in the language of another program."""

from __future__ import annotations

import click

from .echo import echo, echo_json
from .once import OnceCommand
from .options import PATH, common_options, json_option
from .overwriting import check_new_in, force_option

__all__ = ["export"]


@click.command(cls=OnceCommand)
@click.argument("model", type=PATH)
@click.option(
    "--onnx",
    metavar="FOLDER",
    required=True,
    help="Write ONNX files, a configuration, a tokenizer or processor.",
)
@click.option(
    "--head", "heads", multiple=True, metavar="NAME", help="A head to export, too; repeatable."
)
@force_option
@json_option
@common_options
def export(model: str, onnx: str, heads: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Write the encoder of a model, and chosen heads, for programs that run ONNX.

    \b
    mtfreeze export outputs/reviews --onnx exported --head classifier
    """
    from ..multi_task_model import MultiTaskModel

    check_new_in(onnx, ("onnx",), force, option="--onnx")
    folder = MultiTaskModel.from_pretrained(model).export_onnx(onnx, heads)
    sizes = {str(path): path.stat().st_size for path in sorted((folder / "onnx").iterdir())}
    if as_json:
        echo_json({"folder": str(folder), "bytes": sizes})
        return
    for path, n_bytes in sizes.items():
        echo(f"{path}: {n_bytes / 1e6:.1f} MB")
