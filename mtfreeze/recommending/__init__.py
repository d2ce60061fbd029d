# SPDX-License-Identifier: Apache-2.0
"""Recommending: what to freeze for a model and its data, with reasons and their sources.

Called by the command line and the user; calls estimates, features and training data. From below:
facts (`data_facts`, `backbone_facts`), features and what they are worth (`layer_features`,
`probes`, `transferability`, `layer_scores`, `similarity`), all of it together (`findings`); the
schedules to choose from (`candidates`), the choice (`rules`, with `evidence` and `factors`), prices
(`budget`); the answer (`advice`, `adviser`); several backbones (`backbone_ranking`,
`rank_backbones`), of the models that advice is about (`plain_models`).
"""

from __future__ import annotations

from .advice import Advice
from .adviser import recommend
from .backbone_ranking import BackboneRanking

__all__ = ["Advice", "BackboneRanking", "recommend"]
