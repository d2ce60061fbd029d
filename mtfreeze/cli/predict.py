# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze predict``: texts in (arguments, a file, or stdin), labels out (TSV or JSON lines).

TSV has the text and one column a head, tags of words joined by spaces, several facts (an answer and
where it stands, boxes) as JSON; a TAB, a newline or a backslash in them is written as in a Python
string (`files.fields`). JSON lines hold ``text``,
``words`` where a head labels words, ``texts`` where one reads several, and each head's answer; with
``--probabilities`` the share of every label as well. Heads of pairs get what TABs part in a line.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from ..closest import name_list
from ..files.fields import json_line, tsv_field
from ..runtime.precision import check_precision
from .echo import echo
from .once import OnceCommand
from .options import PATH, common_options, json_option, precision_option

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["predict"]

ROWS_AT_A_TIME = 1024


def _answers(
    model: MultiTaskModel,
    heads: list[str],
    texts: list[str],
    probabilities: bool,
    precision: str | None,
) -> Iterator[dict[str, Any]]:
    """Yield one answer a text, in order."""
    from ..data.white_space import words_of
    from ..model.prediction import predict_both

    for begin in range(0, len(texts), ROWS_AT_A_TIME):
        rows = texts[begin : begin + ROWS_AT_A_TIME]
        parted = [text.split("\t") for text in rows]
        several = [head for head in heads if model.heads[head].spec.encoding.several]
        found: dict[str, Any] = {}
        shares: dict[str, Any] = {}
        # What a row is to a head says how many passes there are, not how many heads ask.
        for asked, read in (
            ([one for one in heads if one not in several], rows),
            (several, parted),
        ):
            if probabilities and asked:
                both = model.reading().run(predict_both, model, asked, read, precision)
                found |= both[0]
                shares |= both[1]
            elif asked:
                found |= model.predict_all(read, asked, precision=precision)
        for at, text in enumerate(rows):
            answer: dict[str, Any] = {model.noun: text}
            if any(model.heads[head].spec.row_space.splits for head in heads):
                answer["words"] = words_of(text)
            if several:
                answer["texts"] = parted[at]
            for head in heads:
                answer[head] = _plain(found[head][at])
                if head in shares:
                    answer[f"{head}_probabilities"] = (
                        shares[head][at].astype(float).round(6).tolist()
                    )
            yield answer


def _plain(value: Any) -> Any:
    """Return a prediction as JSON holds it, numbers with the digits that float32 has."""
    import numpy as np

    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray | list):
        return [_plain(one) for one in value]
    return float(str(value)) if isinstance(value, np.floating) else value


def _tsv(answer: dict[str, Any], heads: list[str]) -> str:
    cells = [next(iter(answer.values()))]  # the text, or the path of the image
    for head in heads:
        value = answer[head]
        if isinstance(value, dict):  # several facts, such as what was found, and where
            cells.append(json_line(value))
        else:
            cells.append(" ".join(map(str, value)) if isinstance(value, list) else str(value))
    return "\t".join(map(tsv_field, cells))


@click.command(cls=OnceCommand)
@click.argument("model", type=PATH)
@click.argument("texts", nargs=-1)
@click.option("--head", "heads", multiple=True, help="Ask this head; by default all of them.")
@click.option(
    "--input",
    "path",
    type=PATH,
    metavar="FILE",
    help="One text a line, a pair with a TAB, or the path of an image; - is stdin.",
)
@json_option
@click.option(
    "--format", "form", type=click.Choice(["tsv", "jsonl"]), help="jsonl says the same as --json."
)
@click.option("--probabilities", is_flag=True, help="Add every label's share (JSON lines only).")
@precision_option
@common_options
def predict(
    model: str,
    texts: tuple[str, ...],
    heads: tuple[str, ...],
    path: str | None,
    as_json: bool,
    form: str | None,
    probabilities: bool,
    precision: str | None,
) -> None:
    """Predict labels with a saved model; texts come as arguments, from a file, or from stdin.

    A model of images takes their paths in place of texts.

    \b
    mtfreeze predict outputs/reviews "the food was great" "never again"
    mtfreeze predict outputs/reviews --input texts.txt --json > answers.jsonl
    """
    from ..checks import check_choice
    from ..model.encoding import readers
    from ..multi_task_model import MultiTaskModel
    from .input_lines import given_texts

    if as_json and form == "tsv":
        raise click.UsageError("expected --json or --format tsv; found both; leave one of them out")
    as_json = as_json or form == "jsonl"

    if texts and path is not None:
        raise click.UsageError("expected texts as arguments or --input FILE; found both")
    if probabilities and not as_json:
        raise click.UsageError("--probabilities needs --json (or --format jsonl)")
    if len(set(heads)) < len(heads):
        raise click.UsageError(f"expected each --head once; found {name_list(heads)}; leave one")
    if precision is not None:
        check_precision(precision, name="--precision")
    loaded = MultiTaskModel.from_pretrained(model)
    if not loaded.heads:
        raise click.UsageError(f"{model} has no heads; train it first (mtfreeze train)")
    rows = given_texts(texts, path)
    for head in heads:
        check_choice("head", head, loaded.heads)
    asked = list(heads) or readers(loaded, list(loaded.heads), rows, words=False)
    if not as_json:
        echo("\t".join([loaded.noun, *asked]))
    for answer in _answers(loaded, asked, rows, probabilities, precision):
        echo(json_line(answer) if as_json else _tsv(answer, asked))
