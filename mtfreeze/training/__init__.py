# SPDX-License-Identifier: Apache-2.0
"""Training: `fit`, the `Run` it hands back, and what it is made of.

Called by estimates, comparisons and the user; calls plans, steps and evaluation. In the order in
which a run meets them: `prepare` (everything checked, nothing changed), `resume`, `checkpoint` and
`run_facts` (going on with an earlier run), `trainer` (runs the plan; its state is `trainer_state`),
`callbacks`, `best_model`, `keeper` (what happens between steps), `costs` (what phases took),
`outcome`, `run` and `estimate` (what is handed back), `fit`, which calls them all, and `fine_tune`.
"""

from __future__ import annotations
