# SPDX-License-Identifier: Apache-2.0
"""Read a model folder: configuration, weights, tokenizer, and mtfreeze's own files.

Everything is checked before it is used, from the small to the large: configuration, then the
headers of the weight files against it, then the tensors one by one. A folder that does not hold
together is a `CheckpointError` or `ConfigError` and leaves nothing behind.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._core import Model as CoreModel
from ..checks import as_integer, check_optional_flag, typed
from ..closest import name_list, unknown
from ..errors import CheckpointError, ConfigError
from ..families import IMAGES, Family, core_config, family_of
from ..files.inner_names import inner_path
from ..files.json_files import read_object
from ..files.tensor_files import RawTensor, TensorEntry, find_tensors, read_entries
from ..freezing.state import Freezable, FreezeState, get_state, pinned_names, set_state
from ..heads.backbone_facts import check_cells
from ..heads.head import check_head_name
from ..heads.kind import POOLINGS
from ..heads.registry import spec_from_dict
from ..inputs.text import TextEncoder
from ..inputs.tokenizer_files import TOKENIZER_FILES
from ..logs import logger
from ..quoting import quoted
from ..runtime.precision import FP32, PRECISIONS
from ..runtime.threads import initialize
from .batch_norms import BATCH, BATCH_NORM, told_batch_norm, with_counts
from .dense_modules import core_keys, dense_entries
from .folder_kinds import warn_of_another_kind
from .gguf_models import find_gguf, read_gguf_model
from .hub import Base, base_of, packaged_name
from .kept_files import read_kept
from .last_run import LastRun, read_last_run
from .named_tensors import named_tensors
from .only_head_files import without_head
from .promises import SavedHead, check_promises, check_sizes
from .saved_adapter import SavedAdapter, read_saved_adapter
from .sentence_files import WRITTEN, SentenceSettings, check_pooling, read_settings
from .timm_folders import usual_form

if TYPE_CHECKING:
    from ..inputs.image_encoder import ImageEncoder

__all__ = [
    "FORMAT",
    "INTERPOLATES",
    "Loaded",
    "fill_head",
    "load_folder",
    "read_own_file",
    "read_saved_heads",
    "restore_freezing",
]

_log = logger(__name__)

FORMAT = 1
"""Version of ``mtfreeze.json``; a higher one is refused."""

INTERPOLATES = "interpolate_positions"
"""Key of ``mtfreeze.json``, and of the core, of models of images."""

ORIGIN = "origin"
"""Key of ``mtfreeze.json``: the model that training began from, where no commit is known."""

_OWN_FILE = "mtfreeze.json"


@dataclass
class Loaded:
    """All that `MultiTaskModel` is made of.

    Attributes
    ----------
    core : mtfreeze._core.Model
        The backbone with its weights.
    family : Family
        Of the backbone.
    config : dict
        ``config.json``, whole.
    build_config : dict
        What the core was built from.
    settings : SentenceSettings
        Pooling, normalisation, maximum length.
    encoder : TextEncoder or ImageEncoder
        The tokenizer, or what prepares images.
    unused : dict of str to RawTensor
        Tensors that the computation does not use; saved back unchanged.
    extra_files : dict of str to bytes
        Small files that are saved back unchanged.
    heads : list of SavedHead
        In the order in which they were added.
    freeze : FreezeState
        As it was saved.
    tasks : dict
        What ``save_pretrained(tasks=...)`` noted.
    base : Base or None
        The state of a model on the hub that training began from, where that is known.
    adapter : SavedAdapter or None
        The adapter that was saved with it.
    origin : str
        The name on the hub of the model that training began from, without a commit; ``""``: not
        known.
    last_run : LastRun or None
        The run that left the weights; whether they are still so, `last_run.fingerprint` says.
    """

    core: CoreModel
    family: Family
    config: dict[str, Any]
    build_config: dict[str, Any]
    settings: SentenceSettings
    encoder: TextEncoder | ImageEncoder
    unused: dict[str, RawTensor]
    extra_files: dict[str, bytes]
    heads: list[SavedHead] = field(default_factory=list)
    freeze: FreezeState = field(default_factory=FreezeState)
    tasks: dict[str, Any] = field(default_factory=dict)
    base: Base | None = None
    adapter: SavedAdapter | None = None
    origin: str = ""
    last_run: LastRun | None = None


def load_folder(
    folder: Path,
    *,
    pooling: str | None = None,
    normalize: bool | None = None,
    max_length: int | None = None,
    ignore_config: Collection[str] = (),
    prompts: Mapping[str, str] | None = None,
    default_prompt_name: str | None = None,
    interpolate_positions: bool | None = None,
    batch_norm: str | None = None,
) -> Loaded:
    """Load a model folder; the arguments are those of `MultiTaskModel.from_pretrained`.

    Raises
    ------
    CheckpointError
        If files are missing, damaged, or do not fit one another.
    ConfigError
        If the model needs a computation that is not supported, or an argument is wrong.
    """
    began = time.perf_counter()
    if pooling is not None:
        pooling = check_pooling(pooling)
    normalize = check_optional_flag("normalize", normalize)
    weights = find_gguf(folder)
    gguf = read_gguf_model(weights) if weights is not None else None
    folder = weights.parent if weights is not None else folder
    file = folder / "config.json"
    where = str(gguf.path if gguf and not file.is_file() else file)
    config = gguf.config if gguf and not file.is_file() else read_object(file)
    usual = usual_form(config, folder, where)
    config = usual.config
    family = family_of(config, where)
    _check_pooling(family, pooling)
    settings = read_settings(folder, pooling, usual.pooling or family.pooling)
    changed = settings.prompts.with_changes(prompts, default_prompt_name)
    settings = replace(settings, prompts=changed)
    own = read_own_file(folder)
    if own.get("pooling") is not None and pooling is None:
        settings = replace(settings, pooling=str(own["pooling"]))
    check_cells(f"pooling in the files of {folder}", settings.pooling, family)
    if own.get("normalize") is not None:
        settings = replace(settings, normalize=own["normalize"] is True)
    if normalize is not None:
        settings = replace(settings, normalize=normalize)
    interpolates = _interpolates(family, own, interpolate_positions)
    norms = told_batch_norm(family, config, own, batch_norm, str(folder / _OWN_FILE))
    build = core_config(family, {**config, **interpolates, **norms}, where, ignore_config)
    build |= {"pooling": settings.pooling, "normalize": settings.normalize}
    build |= core_keys(settings.dense)
    if not settings.include_prompt:  # else a model without prompts has an input that says nothing
        build["include_prompt"] = False
    found: Mapping[str, TensorEntry] = gguf.tensors if gguf else find_tensors(folder)
    config, found = without_head(folder, family, own, config, found)
    _check_one_save(folder, own, found)
    dense = dense_entries(settings.dense)
    _check_one_save(folder, own, dense)
    entries = named_tensors(family, found, folder) | dense
    if norms.get(BATCH_NORM) == BATCH:
        entries = with_counts(entries)
    heads = read_saved_heads(folder, own)
    adapter = read_saved_adapter(folder, own, folder / _OWN_FILE)
    if adapter is not None:
        _check_one_save(folder, own, adapter.tensors)
    check_sizes(family, build, entries, where)
    check_promises(family, build, entries, heads, folder)
    initialize()
    core = CoreModel(build)
    encoder: TextEncoder | ImageEncoder
    if family.reads == IMAGES:
        from .image_folders import read_images_of

        settings, encoder = read_images_of(
            folder, core, settings, max_length, config, usual.processor
        )
    else:
        files = gguf.tokenizer_files(folder) if gguf else None
        settings, encoder = _read_text(folder, core, family, settings, max_length, config, files)
    unused = _fill(core, family, entries)
    if gguf:
        gguf.say_types()
    if not own:
        warn_of_another_kind(folder, config, entries)
    extra = read_kept(folder, [*WRITTEN, *TOKENIZER_FILES, *encoder.files])
    _log.info(
        "opened %s: %s, %d tensors, %d heads, in %.2f s",
        where,
        config.get("model_type"),
        len(entries),
        len(heads),
        time.perf_counter() - began,
    )
    return Loaded(
        core,
        family,
        config,
        build,
        settings,
        encoder,
        unused,
        extra,
        heads,
        _read_freeze(own, folder / _OWN_FILE),
        dict(own.get("tasks") or {}),
        base_of(folder) or _read_base(own, folder / _OWN_FILE),
        adapter,
        packaged_name(folder) or _read_origin(own, folder / _OWN_FILE),
        read_last_run(own, folder / _OWN_FILE),
    )


def _interpolates(family: Family, own: Mapping[str, Any], asked: bool | None) -> dict[str, bool]:
    """Return the core's key of positions for images of other sizes, where there is a choice."""
    asked = check_optional_flag("interpolate_positions", asked)
    if asked is not None and family.reads != IMAGES:
        raise ConfigError(
            f"interpolate_positions is of models of images; found {asked} for a model of the "
            f"family {quoted(family.model_type)}, which reads texts; leave it out"
        )
    if INTERPOLATES not in family.computed:
        return {}
    return {INTERPOLATES: own.get(INTERPOLATES) is True if asked is None else asked}


def _check_pooling(family: Family, pooling: str | None) -> None:
    """Refuse a pooling that models of this family do not have."""
    check_cells("pooling", pooling, family)
    if pooling == "pooler" and not family.pooler:
        raise ConfigError(
            f"expected pooling as one of {name_list(POOLINGS, 6)}: models of the family "
            f"{quoted(family.model_type)} have no pooler; found 'pooler'; choose another"
        )


def _read_base(own: Mapping[str, Any], path: Path) -> Base | None:
    """Return where a saved model says that it comes from."""
    saved = own.get("base")
    if saved is None:
        return None
    parts = [saved.get(key) for key in Base._fields] if isinstance(saved, dict) else []
    if not parts or not all(isinstance(part, str) and part.isprintable() for part in parts):
        raise CheckpointError(
            f"{path}: expected 'base' to have the name and the commit of a model on the hub; found "
            f"{quoted(str(saved)[:60])}; correct the file"
        )
    return Base(*(str(part)[:200] for part in parts))


def _read_origin(own: Mapping[str, Any], path: Path) -> str:
    """Return the name on the hub that a saved model says that it began as; ``""``: it says none."""
    saved = own.get(ORIGIN, "")
    if not isinstance(saved, str) or not saved.isprintable():
        raise CheckpointError(
            f"{path}: expected {quoted(ORIGIN)} to be the name of a model on the hub; found "
            f"{quoted(saved, 60)}; correct the file"
        )
    return saved[:200]


def _read_text(
    folder: Path,
    core: CoreModel,
    family: Family,
    settings: SentenceSettings,
    max_length: int | None,
    config: Mapping[str, Any],
    files: Mapping[str, bytes] | None,
) -> tuple[SentenceSettings, TextEncoder]:
    """Settle the maximum length and read the tokenizer, of that class unless its files name one."""
    inputs = {info.name: info for info in core.inputs()}
    positions = next(one.max_length for one in core.spaces() if one.name == inputs["ids"].space)
    length = settings.max_length or positions
    if max_length is not None:
        number = as_integer(max_length)
        if number is None:
            raise TypeError(f"max_length must be an int; found {typed(max_length)}")
        if not 3 <= number <= positions:
            raise ConfigError(
                f"max_length must be from 3 to {positions}, the positions that the model knows; "
                f"found {quoted(number)}"
            )
        length = number
    settings = replace(settings, max_length=min(length, positions))
    assert settings.max_length is not None
    return settings, TextEncoder.from_folder(
        folder,
        max_length=settings.max_length,
        n_embeddings=inputs["ids"].limit,
        do_lower_case=settings.do_lower_case,
        needs_special=family.encloses,
        model_class=config.get("tokenizer_class") or family.tokenizer_class,
        inputs=list(inputs),
        prompt=settings.prompts.default_text,
        files=files,
    )


def _fill(
    core: CoreModel, family: Family, entries: Mapping[str, TensorEntry]
) -> dict[str, RawTensor]:
    """Copy the weights, which `check_promises` has seen, into the core; return what it has no
    use for."""
    infos = core.params()
    for position, info in enumerate(infos):
        core.set_param(position, entries[family.name_of(info.key)].read_weights())
    used = {family.name_of(key) for info in infos for key in (info.key, *info.aliases)}
    return {name: entry.read_raw() for name, entry in entries.items() if name not in used}


def read_own_file(folder: Path) -> dict[str, Any]:
    """Read ``mtfreeze.json``; an empty dict for a model that another library saved."""
    path = folder / _OWN_FILE
    if not path.is_file():
        return {}
    own = read_object(path)
    if own.get("format") != FORMAT:
        raise CheckpointError(
            f"{path}: expected format {FORMAT}; found {quoted(own.get('format'))}; it was written "
            "by "
            "another version of mtfreeze: update the package"
        )
    if not isinstance(own.get("tasks", {}), dict):
        raise CheckpointError(f"{path}: expected 'tasks' to map names to notes; found a list")
    if own.get("pooling") is not None:
        try:
            check_pooling(own["pooling"])
        except (ConfigError, TypeError) as error:
            raise CheckpointError(f"{path}: {error}") from None
    return own


def read_saved_heads(folder: Path, own: Mapping[str, Any]) -> list[SavedHead]:
    """Read the descriptions of saved heads and the headers of their weights."""
    path = folder / _OWN_FILE
    saved = own.get("heads", {})
    if not isinstance(saved, dict) or not all(isinstance(one, dict) for one in saved.values()):
        raise CheckpointError(f"{path}: expected 'heads' to map names to descriptions")
    heads: list[SavedHead] = []
    for name, values in saved.items():
        trained = values.get("trained") is True
        plain = {key: value for key, value in values.items() if key != "trained"}
        try:
            check_head_name(name, [head.name for head in heads])
            spec = spec_from_dict(plain, f"head {quoted(name)}")
        except (ConfigError, TypeError) as error:
            raise CheckpointError(f"{path}: {error}") from None
        tensors = read_entries(inner_path(folder, f"heads/{name}.safetensors", str(path)))
        _check_one_save(folder, own, tensors)
        heads.append(SavedHead(name, spec, trained, tensors))
    return heads


def _check_one_save(
    folder: Path, own: Mapping[str, Any], tensors: Mapping[str, TensorEntry]
) -> None:
    """Refuse weights that were saved with another ``mtfreeze.json`` than the one beside them.

    Weights that another program wrote there say nothing of it, and neither do old folders.
    """
    wanted = own.get("saved_as")
    for entry in tensors.values():
        if wanted and entry.saved_as and entry.saved_as != wanted:
            raise CheckpointError(
                f"{folder}: expected files of one save; found that {entry.path.name} and "
                f"{_OWN_FILE} belong to two: the folder is a mix of two models; copy it again "
                "while no program saves to it, or save the model again"
            )


def fill_head(core: CoreModel, head: SavedHead) -> None:
    """Copy a saved head's weights into the head that was just added."""
    for position, info in enumerate(core.params()):
        if info.key in head.tensors:
            core.set_param(position, head.tensors[info.key].read_weights())


def restore_freezing(model: Freezable, state: FreezeState, where: str) -> None:
    """Give a model, whose heads are there, the freeze state that was saved with it."""
    set_state(model, state)
    if names := pinned_names(model.index, get_state(model)):
        _log.info(
            "%s was saved with pins: %s; a schedule trains them only in phases with unpin=True",
            where,
            ", ".join(names),
        )


def _read_freeze(own: Mapping[str, Any], path: Path) -> FreezeState:
    saved = own.get("freeze", {})
    names: dict[str, frozenset[str]] = {}
    for key in ("frozen", "frozen_heads", "pinned", "pinned_heads"):
        listed = saved.get(key, []) if isinstance(saved, dict) else None
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise CheckpointError(
                f"{path}: expected freeze.{key} as a list of names; found {str(listed)[:60]}"
            )
        names[key] = frozenset(listed)
    return FreezeState(**names, **_read_precisions(saved.get("precision", {}), path))


def _read_precisions(saved: object, path: Path) -> dict[str, frozenset[str]]:
    """Return the keys by precision; files of earlier versions name none."""
    if not isinstance(saved, dict):
        raise CheckpointError(
            f"{path}: expected freeze.precision as lists of names by precision; found "
            f"{str(saved)[:60]}"
        )
    known = [name for name in PRECISIONS if name != FP32]
    for name, listed in saved.items():
        if name not in known:
            raise CheckpointError(f"{path}: freeze.precision: {unknown('precision', name, known)}")
        if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
            raise CheckpointError(
                f"{path}: expected freeze.precision.{name} as a list of names; found "
                f"{str(listed)[:60]}"
            )
    return {name: frozenset(listed) for name, listed in saved.items()}
