# SPDX-License-Identifier: Apache-2.0
"""`Evaluation`: the figures that `evaluate` returns, with the answers that they follow from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..checks import check_choice
from ..closest import name_list
from ..errors import ConfigError, SelectorError
from ..heads.told import LABEL, LABELS, Told
from ..metrics.scores import metric_name
from .confusion_counts import Confusion, confusion_of
from .report import Report, report_of

if TYPE_CHECKING:
    from ..heads.kind import HeadSpec
    from .scorers import Outcome

__all__ = ["Evaluation"]


class Evaluation(dict[str, float]):
    """Figures by ``eval_<task>_<metric>``; a dict that also keeps what was answered.

    It is made by `evaluate` and by ``run.evaluate()``, and holds no model and no data, but the
    class and the probabilities of each labelled text or word.
    """

    def __init__(
        self, specs: Mapping[str, HeadSpec], found: Mapping[str, Outcome], noun: str = "text"
    ) -> None:
        super().__init__(
            {
                metric_name(name, metric): value
                for name, outcome in found.items()
                for metric, value in outcome.metrics.items()
            }
        )
        self._noun = noun
        self._answers = {name: (specs[name], outcome.told) for name, outcome in found.items()}

    def report(self, task: str | None = None) -> Report:
        """Return precision, recall, F1 and support label by label, and what ranks by probability.

        Parameters
        ----------
        task : str, optional
            A head of labels; not needed where one was evaluated.

        Returns
        -------
        Report
            Prints as a table. Of IOB2 tags, entities by type.

        Raises
        ------
        SelectorError
            If no such task was evaluated.
        ConfigError
            If its head tells no labels, or none is named and there are several.

        Examples
        --------
        >>> report = mtf.evaluate(model, tasks).report("classifier")
        >>> report.labels["positive"]["support"], 0 <= report.averages["macro"]["f1"] <= 1
        (6.0, True)
        """
        name, spec, told = self._of(task, "a report")
        return report_of(name, spec, told, self._noun)

    def confusion(self, task: str | None = None) -> Confusion:
        """Return how often each label was taken for which.

        Parameters
        ----------
        task
            As for `report`.

        Returns
        -------
        Confusion
            Of sets of labels how often each was rightly and wrongly given and left out. Prints as
            text; ``plot(path)`` draws it.

        Raises
        ------
        SelectorError, ConfigError
            As `report`.

        Examples
        --------
        >>> mtf.evaluate(model, tasks).confusion("classifier").counts.shape
        (2, 2)
        """
        name, spec, told = self._of(task, "a confusion matrix")
        return confusion_of(name, spec, told, self._noun)

    def _of(self, task: str | None, what: str) -> tuple[str, HeadSpec, Told]:
        named = {
            name: (spec, told)
            for name, (spec, told) in self._answers.items()
            if spec.tells in (LABEL, LABELS) and told is not None
        }
        if task is None:
            if len(named) != 1:
                raise ConfigError(
                    f"{what} is of one task with labels; found {name_list(named)}; name one of them"
                )
            task = next(iter(named))
        name = check_choice("task", task, self._answers, error=SelectorError)
        if name not in named:
            kind = self._answers[name][0].kind
            raise ConfigError(
                f"{what} needs labels to tell apart; found {name_list([name])}, a {kind} head, "
                f"which has none; choose one of {name_list(named)}"
            )
        return name, *named[name]
