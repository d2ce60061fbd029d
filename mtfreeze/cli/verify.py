# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze verify``: does a saved model hold the bits it should hold?

Every tensor of the folder is compared with the digest that ``freeze_report.json`` noted when it
was saved. With ``--base`` every tensor that was frozen is compared with the model that training
began from; the two need not have the same heads. Exit code 3 names what differs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..closest import name_list
from ..errors import CheckpointError
from ..files.json_files import read_object
from .echo import echo, echo_json
from .guard import FrozenChanged
from .once import OnceCommand
from .options import common_options, json_option

if TYPE_CHECKING:
    from ..freezing.digests import FrozenReport, Snapshot

__all__ = ["read_report", "verify"]

REPORT = "freeze_report.json"


def read_report(folder: Path) -> Snapshot:
    """Return the digests that a folder was saved with.

    Raises
    ------
    CheckpointError
        If the report is missing or damaged.
    """
    from ..freezing.digests import Snapshot

    path = folder / REPORT
    if not path.is_file():
        raise CheckpointError(
            f"{folder}: expected {REPORT}, which save_pretrained writes; found none; "
            "verify a folder that mtfreeze saved"
        )
    tensors: Any = read_object(path).get("tensors")
    try:
        digests = {str(key): str(entry["blake2b"]) for key, entry in tensors.items()}
        frozen = frozenset(key for key, entry in tensors.items() if entry["frozen"] is True)
    except (AttributeError, KeyError, TypeError):
        raise CheckpointError(
            f"{path}: expected a digest and a frozen flag for every tensor; found something else; "
            "save the model again"
        ) from None
    if not digests:
        raise CheckpointError(f"{path}: expected digests of tensors; found none")
    return Snapshot(digests, frozen)


def _against_itself(folder: Path) -> int:
    """Compare the folder's tensors with its report; return how many have their bits."""
    from ..files.still_folder import read_still
    from ..freezing.digests import compare
    from ..multi_task_model import MultiTaskModel

    def read() -> tuple[Snapshot, FrozenReport]:
        noted = read_report(folder)
        return noted, compare(noted, MultiTaskModel.from_pretrained(folder))

    noted, report = read_still(folder, read)
    differ = [*report.moved, *report.changed]
    if differ:
        raise FrozenChanged(
            f"{folder}: expected the bits that {REPORT} notes; found {len(differ)} tensors with "
            f"others: {name_list(differ, 5)}; the files were changed after saving"
        )
    return len(noted.digests)


def _against_base(folder: Path, base: str) -> int:
    """Compare what was frozen with the model that training began from; return how many tensors."""
    from ..freezing.digests import snapshot
    from ..model.batch_norms import BATCH_NORM
    from ..model.loading import read_own_file
    from ..multi_task_model import MultiTaskModel

    noted = read_report(folder)
    norms = read_own_file(folder).get(BATCH_NORM)  # the same tensors count as parameters then
    before = snapshot(MultiTaskModel.from_pretrained(base, batch_norm=norms)).digests
    shared = [key for key in noted.digests if key in noted.frozen and key in before]
    moved = [key for key in shared if before[key] != noted.digests[key]]
    if moved:
        raise FrozenChanged(
            f"{folder}: expected frozen tensors with the bits of {base}; found {len(moved)} with "
            f"others: {name_list(moved, 5)}; they were trained before they were frozen, or this is "
            "another base"
        )
    return len(shared)


@click.command(cls=OnceCommand)
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--base", metavar="MODEL", help="The model that training began from.")
@json_option
@common_options
def verify(folder: Path, base: str | None, as_json: bool) -> None:
    """Check a saved model against its own digests and, with --base, against where it began.

    \b
    mtfreeze verify outputs/reviews --base sentence-transformers/all-MiniLM-L6-v2
    """
    if not folder.is_dir():
        raise CheckpointError(f"expected the folder of a saved model; found no folder {folder}")
    n_saved = _against_itself(folder)
    n_base = None if base is None else _against_base(folder, base)
    if as_json:
        echo_json({"folder": str(folder), "same_as_saved": n_saved, "same_as_base": n_base})
        return
    echo(f"{n_saved} tensors have the bits they were saved with")
    if n_base is not None:
        shared = f"{n_base} frozen tensors have the bits of {base}"
        echo(shared if n_base else "nothing that was frozen is also in the base")
