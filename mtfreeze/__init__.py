# SPDX-License-Identifier: Apache-2.0
"""mtfreeze: multi-task fine-tuning on the CPU that shows what freezing costs and saves.

    import mtfreeze as mtf

    model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.freeze("backbone")
    run = mtf.fit(model, {"classifier": mtf.Task(train=mtf.read_tsv("train.tsv"))})

Names are imported when they are first used, so that ``import mtfreeze`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._core import VERSION as __version__
    from .adapters.descriptions import IA3, BitFit, Lora
    from .comparing.compare import compare
    from .comparing.comparison import Comparison
    from .comparing.race_settings import Race
    from .comparing.scratch import Scratch
    from .data import (
        Box,
        Example,
        Examples,
        entity_types,
        read_coco,
        read_conll,
        read_csv,
        read_images,
        read_jsonl,
        read_nli,
        read_parquet,
        read_squad,
        read_sts,
        read_table,
        read_text,
        read_tsv,
        stream,
        words_and_tags,
    )
    from .data_check import DataCheck, DataChecks, check_data
    from .errors import (
        CheckpointError,
        ConcurrencyError,
        ConfigError,
        DataError,
        Error,
        SelectorError,
        TrainingError,
    )
    from .estimating import Estimate, estimate
    from .evaluating.confusion import plot_confusion
    from .evaluating.evaluate import evaluate
    from .evaluating.top_losses import top_losses
    from .heads.causal_lm import CausalLM
    from .heads.detection import Detection
    from .heads.masked_lm import MaskedLM
    from .heads.multi_label_classification import MultiLabelClassification
    from .heads.pair_classification import PairClassification
    from .heads.question_answering import QuestionAnswering
    from .heads.regression import Regression
    from .heads.sequence_classification import SequenceClassification
    from .heads.similarity import Similarity
    from .heads.task import Task
    from .heads.token_classification import TokenClassification
    from .images import Augment, Picture
    from .losses.cross_entropy import CrossEntropy
    from .losses.distillation import Distillation
    from .multi_task_model import MultiTaskModel
    from .notices import (
        BrokenTagsWarning,
        CacheWarning,
        EvaluationWarning,
        FreezeWarning,
        ImageWarning,
        NoPrefixWarning,
        OtherBackboneWarning,
        OtherKindWarning,
        OtherRowsWarning,
        PictureWarning,
        PrecisionWarning,
        ResumeWarning,
        RoundedWeightsWarning,
        TokenizerWarning,
        TrackingWarning,
        UndecidedWarning,
        UntrainedHeadWarning,
        UnusedDataWarning,
    )
    from .pictures.boxes import plot_boxes
    from .planning.freeze_schedule import FreezeSchedule
    from .recommending import Advice, BackboneRanking, recommend
    from .runtime.threads import get_threads, set_threads, show_config
    from .training.callbacks import Callback, EarlyStopping
    from .training.few_shot import few_shot
    from .training.fine_tune import fine_tune
    from .training.fit import fit
    from .training.fit_arguments import FitArguments
    from .training.loggers import MLflowLogger, TensorBoardLogger, TrackioLogger, WandbLogger

_HOME = {
    "Advice": "recommending",
    "BackboneRanking": "recommending",
    "BitFit": "adapters.descriptions",
    "IA3": "adapters.descriptions",
    "Lora": "adapters.descriptions",
    "Augment": "images",
    "Box": "data",
    "BrokenTagsWarning": "notices",
    "CacheWarning": "notices",
    "EvaluationWarning": "notices",
    "Callback": "training.callbacks",
    "CausalLM": "heads.causal_lm",
    "CheckpointError": "errors",
    "Comparison": "comparing.comparison",
    "ConcurrencyError": "errors",
    "ConfigError": "errors",
    "DataCheck": "data_check",
    "DataChecks": "data_check",
    "DataError": "errors",
    "CrossEntropy": "losses.cross_entropy",
    "Detection": "heads.detection",
    "Distillation": "losses.distillation",
    "EarlyStopping": "training.callbacks",
    "Error": "errors",
    "Estimate": "training.estimate",
    "Example": "data",
    "Examples": "data",
    "FitArguments": "training.fit_arguments",
    "FreezeSchedule": "planning.freeze_schedule",
    "FreezeWarning": "notices",
    "ImageWarning": "notices",
    "MLflowLogger": "training.loggers",
    "MaskedLM": "heads.masked_lm",
    "MultiLabelClassification": "heads.multi_label_classification",
    "MultiTaskModel": "multi_task_model",
    "NoPrefixWarning": "notices",
    "OtherBackboneWarning": "notices",
    "OtherKindWarning": "notices",
    "OtherRowsWarning": "notices",
    "PairClassification": "heads.pair_classification",
    "Picture": "images",
    "PictureWarning": "notices",
    "PrecisionWarning": "notices",
    "QuestionAnswering": "heads.question_answering",
    "Race": "comparing.race_settings",
    "Regression": "heads.regression",
    "ResumeWarning": "notices",
    "RoundedWeightsWarning": "notices",
    "Scratch": "comparing.scratch",
    "SelectorError": "errors",
    "SequenceClassification": "heads.sequence_classification",
    "Similarity": "heads.similarity",
    "Task": "heads.task",
    "TensorBoardLogger": "training.loggers",
    "TokenClassification": "heads.token_classification",
    "TrainingError": "errors",
    "TokenizerWarning": "notices",
    "TrackingWarning": "notices",
    "TrackioLogger": "training.loggers",
    "UndecidedWarning": "notices",
    "UntrainedHeadWarning": "notices",
    "UnusedDataWarning": "notices",
    "WandbLogger": "training.loggers",
    "check_data": "data_check",
    "compare": "comparing.compare",
    "entity_types": "data",
    "estimate": "estimating",
    "evaluate": "evaluating.evaluate",
    "few_shot": "training.few_shot",
    "fine_tune": "training.fine_tune",
    "fit": "training.fit",
    "get_threads": "runtime.threads",
    "plot_boxes": "pictures.boxes",
    "plot_confusion": "evaluating.confusion",
    "read_coco": "data",
    "read_conll": "data",
    "read_csv": "data",
    "read_images": "data",
    "read_jsonl": "data",
    "read_nli": "data",
    "read_parquet": "data",
    "read_sts": "data",
    "read_table": "data",
    "read_squad": "data",
    "read_text": "data",
    "read_tsv": "data",
    "recommend": "recommending",
    "set_threads": "runtime.threads",
    "show_config": "runtime.threads",
    "stream": "data",
    "top_losses": "evaluating.top_losses",
    "words_and_tags": "data",
}
"""Public name -> module that has it."""

__all__ = [
    "IA3",
    "Advice",
    "Augment",
    "BackboneRanking",
    "BitFit",
    "Box",
    "BrokenTagsWarning",
    "CacheWarning",
    "Callback",
    "CausalLM",
    "CheckpointError",
    "Comparison",
    "ConcurrencyError",
    "ConfigError",
    "CrossEntropy",
    "DataCheck",
    "DataChecks",
    "DataError",
    "Detection",
    "Distillation",
    "EarlyStopping",
    "Error",
    "Estimate",
    "EvaluationWarning",
    "Example",
    "Examples",
    "FitArguments",
    "FreezeSchedule",
    "FreezeWarning",
    "ImageWarning",
    "Lora",
    "MLflowLogger",
    "MaskedLM",
    "MultiLabelClassification",
    "MultiTaskModel",
    "NoPrefixWarning",
    "OtherBackboneWarning",
    "OtherKindWarning",
    "OtherRowsWarning",
    "PairClassification",
    "Picture",
    "PictureWarning",
    "PrecisionWarning",
    "QuestionAnswering",
    "Race",
    "Regression",
    "ResumeWarning",
    "RoundedWeightsWarning",
    "Scratch",
    "SelectorError",
    "SequenceClassification",
    "Similarity",
    "Task",
    "TensorBoardLogger",
    "TokenClassification",
    "TokenizerWarning",
    "TrackingWarning",
    "TrackioLogger",
    "TrainingError",
    "UndecidedWarning",
    "UntrainedHeadWarning",
    "UnusedDataWarning",
    "WandbLogger",
    "__version__",
    "check_data",
    "compare",
    "entity_types",
    "estimate",
    "evaluate",
    "few_shot",
    "fine_tune",
    "fit",
    "get_threads",
    "plot_boxes",
    "plot_confusion",
    "read_coco",
    "read_conll",
    "read_csv",
    "read_images",
    "read_jsonl",
    "read_nli",
    "read_parquet",
    "read_squad",
    "read_sts",
    "read_table",
    "read_text",
    "read_tsv",
    "recommend",
    "set_threads",
    "show_config",
    "stream",
    "top_losses",
    "words_and_tags",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use (PEP 562)."""
    if name == "__version__":
        value: Any = importlib.import_module("._core", __name__).VERSION
    elif name in _HOME:
        value = getattr(importlib.import_module(f".{_HOME[name]}", __name__), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
