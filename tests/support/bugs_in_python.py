# SPDX-License-Identifier: Apache-2.0
"""Bugs to plant in Python, see `bugs.Bug`: files, data, metrics, freezing, training."""

from __future__ import annotations

from .bugs import Bug

RESUME = "tests/training/test_checkpoint_resume.py"

BUGS_IN_PYTHON = (
    # ---- files
    Bug(
        "the parent folder is not synced after the swap",
        "mtfreeze/files/folder_swap.py",
        "            sync_names(target.parent)\n",
        "            pass\n",
        "tests/files/test_folder_swap.py",
    ),
    Bug(
        "the names inside a new folder are not synced",
        "mtfreeze/files/folder_swap.py",
        "                sync_names(root)\n",
        "                pass\n",
        "tests/files/test_folder_swap.py",
    ),
    Bug(
        "the earlier folder goes before the new one is there",
        "mtfreeze/files/folder_swap.py",
        "    if _exchange(draft, target):\n        return draft\n",
        "    shutil.rmtree(target)\n",
        "tests/files/test_folder_swap.py",
    ),
    Bug(
        "a new folder has the permissions of the process",
        "mtfreeze/files/folder_swap.py",
        "                keep_access(target, draft)\n",
        "                pass\n",
        "tests/files/test_folder_swap.py",
    ),
    Bug(
        "the bytes of a file are not synced before its name",
        "mtfreeze/files/whole_file.py",
        "    file.flush()\n    os.fsync(file.fileno())\n",
        "    file.flush()\n",
        "tests/files/test_whole_file.py",
    ),
    Bug(
        "the name of a file is not synced",
        "mtfreeze/files/whole_file.py",
        "        os.replace(draft, place)\n        sync_names(place.parent)\n",
        "        os.replace(draft, place)\n",
        "tests/files/test_whole_file.py",
    ),
    Bug(
        "a draft stays after an error",
        "mtfreeze/files/whole_file.py",
        "mostly it is not called so any more; else the next call tries\n            draft.unlink()",
        "mostly it is not called so any more; else the next call tries\n            pass",
        "tests/files/test_whole_file.py",
    ),
    Bug(
        "bf16 weights are read as the lower half",
        "mtfreeze/files/tensor_files.py",
        '(raw.astype("<u4") << 16)',
        '(raw.astype("<u4") << 15)',
        "tests/files/test_tensor_files.py",
    ),
    Bug(
        "a header may promise more bytes than it has",
        "mtfreeze/files/tensor_files.py",
        "if prod(shape) * _BITS[dtype] != n_bytes:",
        "if prod(shape) * _BITS[dtype] < n_bytes:",
        "tests/files/test_tensor_files.py",
    ),
    # ---- checkpoints
    Bug(
        "the folder of checkpoints has no synced name",
        "mtfreeze/files/whole_file.py",
        "            sync_names(one.parent)\n",
        "            pass\n",
        "tests/drills/test_checkpoint_faults.py",
    ),
    Bug(
        "a damaged file of a checkpoint is not seen",
        "mtfreeze/training/checkpoint.py",
        'if _file_digest(file) != facts.get("blake2b"):',
        'if _file_digest(file) == "":',
        "tests/drills/test_checkpoint_faults.py",
    ),
    Bug(
        "the oldest checkpoint is taken",
        "mtfreeze/training/checkpoint.py",
        "key=lambda path: steps[path], reverse=True)",
        "key=lambda path: steps[path])",
        "tests/drills/test_checkpoint_faults.py",
    ),
    Bug(
        "both moments of a checkpoint are the first",
        "mtfreeze/training/checkpoint.py",
        'moment1 if part == "moment1" else moment2',
        'moment1 if part != "n_steps" else moment2',
        RESUME,
    ),
    Bug(
        "a resumed run has no history",
        "mtfreeze/training/trainer_state.py",
        "arrays = {key: value.copy() for key, value in (best_params or {}).items()}",
        "arrays = dict(best_params or {})\n        values = {**values, 'history': []}",
        RESUME,
    ),
    # ---- data
    Bug(
        "the order of rows is the same in every epoch",
        "mtfreeze/data/order.py",
        'text = "\\x1f".join(f"{type(part).__name__}:{part}" for part in key)',
        'text = "\\x1f".join(f"{type(part).__name__}:{part}" for part in key[:2])',
        "tests/data/test_batches.py",
    ),
    Bug(
        "the last batch of an epoch is dropped",
        "mtfreeze/data/batches.py",
        "    return -(-n // batch_size)\n",
        "    return max(1, n // batch_size)\n",
        "tests/data/test_batches.py",
    ),
    Bug(
        "the text of a TSV ends at its first TAB",
        "mtfreeze/data/row_files.py",
        'text, tab, label = line.rpartition("\\t")',
        'text, tab, label = line.partition("\\t")',
        "tests/data/test_readers.py",
    ),
    # ---- metrics
    Bug(
        "an entity's type need not be right",
        "mtfreeze/metrics/entities.py",
        'split_tag(tags[end]) == ("I", kind)',
        'split_tag(tags[end])[0] == "I"',
        "tests/metrics",
    ),
    Bug(
        "macro F1 counts classes that never occur",
        "mtfreeze/metrics/scores.py",
        "present = (counts.sum(axis=0) + counts.sum(axis=1)) > 0",
        "present = (counts.sum(axis=0) + counts.sum(axis=1)) >= 0",
        "tests/metrics",
    ),
    Bug(
        "the confusion matrix is transposed",
        "mtfreeze/metrics/scores.py",
        "np.bincount(true * size + guess,",
        "np.bincount(guess * size + true,",
        "tests/metrics",
    ),
    # ---- freezing
    Bug(
        "backbone[:k] leaves the embeddings out",
        "mtfreeze/freezing/selectors.py",
        "return index.of_units([*below, *index.layers.units_of(text, range(stop))])",
        "return index.of_units(index.layers.units_of(text, range(stop)))",
        "tests/freezing/test_selectors.py",
    ),
    Bug(
        "a part of layers that share their weights freezes all of them",
        "mtfreeze/freezing/layer_units.py",
        "if 0 < n_inside < len(own):",
        "if n_inside < 0:",
        "tests/freezing/test_shared_layers.py",
    ),
    Bug(
        "an alias of a tied tensor is not found",
        "mtfreeze/freezing/model_index.py",
        "self.key_index.update(dict.fromkeys(info.aliases, i))",
        "self.key_index.update({})",
        "tests/freezing/test_selectors.py",
    ),
    Bug(
        "pins are dropped with any change",
        "mtfreeze/freezing/state.py",
        "pinned=state.pinned & {key for key in index.keys if key in state.frozen},",
        "pinned=frozenset(),",
        "tests/laws/test_laws_schedules.py",
    ),
    Bug(
        "a moved tensor that was frozen counts as trained",
        "mtfreeze/freezing/digests.py",
        "tuple(key for key in differ if key in before.frozen),",
        "tuple(key for key in differ if key in before.frozen and key not in now),",
        "tests/freezing/test_digests.py",
    ),
    Bug(
        "digests leave out the last piece of a large tensor",
        "mtfreeze/freezing/digests.py",
        "for at in range(0, max(1, len(raw)), _PIECE)]",
        "for at in range(0, max(1, len(raw) - _PIECE), _PIECE)]",
        "tests/freezing/test_digests.py",
    ),
    # ---- rates and schedules
    Bug(
        "warm-up ends one step late",
        "mtfreeze/planning/rate_clock.py",
        "return step / max(1, n_warmup)",
        "return step / max(1, n_warmup + 1)",
        "tests/planning/test_rate_clock.py",
    ),
    Bug(
        "earlier entries of rates win",
        "mtfreeze/planning/rates.py",
        "for position, (selector, number) in enumerate(entries.items()):",
        "for position, (selector, number) in reversed([*enumerate(entries.items())]):",
        "tests/planning/test_rates.py",
    ),
    Bug(
        "a phase's clock begins with the run",
        "mtfreeze/planning/rate_clock.py",
        "schedule_factor(self.kind, step - self.first_step, self.n_steps, self.n_warmup)",
        "schedule_factor(self.kind, step, self.n_steps, self.n_warmup)",
        "tests/planning/test_rate_clock.py",
    ),
    # ---- training
    Bug(
        "the freeze state of a schedule stays after the run",
        "mtfreeze/training/trainer.py",
        "            core.train_reset()\n            self._model.set_freeze_state(earlier)\n",
        "            core.train_reset()\n",
        "tests/laws/test_laws_schedules.py",
    ),
    Bug(
        "a callback may change what is frozen",
        "mtfreeze/training/trainer.py",
        "if self._model.freeze_state() != before:",
        "if self._model.freeze_state() is None:",
        "tests/training/test_callbacks.py",
    ),
    Bug(
        "the best model keeps a view of the weights",
        "mtfreeze/training/best_model.py",
        "state.best_params[key] = now.copy()",
        "state.best_params[key] = now",
        "tests/training/test_best_model.py",
    ),
    Bug(
        "NaN is a better figure than any",
        "mtfreeze/training/best_model.py",
        "return not math.isnan(new)",
        "return True",
        "tests/training/test_best_model.py",
    ),
    # ---- features
    Bug(
        "features of another precision are found",
        "mtfreeze/features/keys.py",
        '        "numerics": numerics(model, running),\n',
        "",
        "tests/features/test_features_keys.py",
    ),
    Bug(
        "features of other weights are found",
        "mtfreeze/features/keys.py",
        '        "parameters": _digests(model, running, snapshot),\n',
        "",
        "tests/features/test_features_keys.py",
    ),
    Bug(
        "damaged rows of a shard are taken",
        "mtfreeze/features/shards.py",
        'raise ShardError(f"its rows are damaged (digest {number} of the data)")',
        "pass",
        "tests/features/test_features_shards.py",
    ),
    Bug(
        "features are gathered from the first block only",
        "mtfreeze/features/gather.py",
        "self._block_of[new] = len(self._blocks)",
        "self._block_of[new] = 0",
        "tests/features/test_features_cache.py",
    ),
    Bug(
        "a full disk under rows of a file is the bare fault of closing it",
        "mtfreeze/files/growing.py",
        "    finally:\n        _let_go(file)\n",
        "    finally:\n        file.close()\n",
        "tests/files/test_growing.py",
    ),
    # ---- comparing
    Bug(
        "jobs of a comparison train on images as they are, whatever the task asks for",
        "mtfreeze/comparing/task_files.py",
        'augment=None if one.get("augment") is None else Augment(**one["augment"]),',
        "augment=None,",
        "tests/comparing/test_tasks_of_images.py",
    ),
)
