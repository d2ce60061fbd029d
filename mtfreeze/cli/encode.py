# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze encode``: texts in (arguments, a file, or stdin), one vector a text out.

Vectors go to a NumPy file, (n, width) float32 in the order of the texts, or without ``--output`` to
stdout, as JSON lines of ``text`` and ``embedding``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..files.fields import json_line
from ..runtime.precision import check_precision
from .echo import echo, echo_json
from .once import OnceCommand
from .options import PATH, common_options, json_option, precision_option
from .overwriting import check_new_file, force_option

__all__ = ["encode"]

ROWS_AT_A_TIME = 1024


@click.command(cls=OnceCommand)
@click.argument("model", type=PATH)
@click.argument("texts", nargs=-1)
@click.option(
    "--input", "path", type=PATH, metavar="FILE", help="One text, or path, a line; - is stdin."
)
@click.option("--output", metavar="FILE.npy", help="Write all vectors here, as one array.")
@force_option
@click.option("--prompt", metavar="TEXT", help="Put this before every text.")
@click.option(
    "--prompt-name", metavar="NAME", help="The same, by the name that the model has it by."
)
@precision_option
@json_option
@common_options
def encode(
    model: str,
    texts: tuple[str, ...],
    path: str | None,
    output: str | None,
    force: bool,
    prompt: str | None,
    prompt_name: str | None,
    precision: str | None,
    as_json: bool,
) -> None:
    """Give every text its vector; texts come as arguments, from a file, or from stdin.

    A model of images takes their paths in place of texts. Without --output vectors are JSON lines,
    with --json or without it.

    \b
    mtfreeze encode sentence-transformers/all-MiniLM-L6-v2 "good food" "bad food"
    mtfreeze encode outputs/reviews --input texts.txt --output vectors.npy --precision bf16
    mtfreeze encode intfloat/e5-small-v2 "good food" --prompt "query: "
    """
    import numpy as np

    from ..files.whole_file import whole_file
    from ..multi_task_model import MultiTaskModel
    from .input_lines import given_texts

    if texts and path is not None:
        raise click.UsageError("expected texts as arguments or --input FILE; found both")
    if precision is not None:
        check_precision(precision, name="--precision")
    check_new_file(output, force)
    loaded = MultiTaskModel.from_pretrained(model)
    rows = given_texts(texts, path)
    how: Any = {"precision": precision, "prompt": prompt, "prompt_name": prompt_name}
    if output is not None:
        vectors = loaded.encode(rows, **how)
        with whole_file(Path(output)) as file:
            np.save(file, vectors)
        if as_json:
            facts = {"output": output, "n_vectors": len(vectors), "width": vectors.shape[1]}
            echo_json(facts)
        else:
            echo(f"{len(vectors)} vectors of {vectors.shape[1]} values: {output}")
        return
    for begin in range(0, len(rows), ROWS_AT_A_TIME):
        some = rows[begin : begin + ROWS_AT_A_TIME]
        for text, vector in zip(some, loaded.encode(some, **how), strict=True):
            # The shortest digits that give the same float32 back.
            values = [float(str(value)) for value in vector]
            echo(json_line({loaded.noun: text, "embedding": values}))
