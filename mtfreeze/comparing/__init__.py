# SPDX-License-Identifier: Apache-2.0
"""Comparing: freeze scenarios run from one start, and which differences are significant.

Called by the command line and the user; calls training, evaluation and pictures. From below:
`scenarios` (what is frozen in each), `arguments`, `task_files` and `comparison_folder` (all that a
worker needs, and all results), `own_functions` (what stays in this process), `worker` and `running`
(a job alone; jobs here or on an executor), `results`, `baseline`, `drift` (what a job found),
`sums` and `bootstrap` (rows drawn again), `judging`, `figures`, `comparison_data` (what it means),
`grid`, `table`, `words`, `export`, `report` (how it is shown), `work` (the jobs of a call),
`comparison` and `compare`.

A race drops scenarios on the way: `race_rules` (the decisions), `race_settings`, `race_data` and
`race_plan` (what is settled before), `race_standing` (how it stands, from results alone),
`race_result` and `race_words` (what it came to).
"""
