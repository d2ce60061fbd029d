# SPDX-License-Identifier: Apache-2.0
"""Comparing: freeze scenarios run from one start, and which differences are significant.

Called by the command line and the user; calls training, evaluation and pictures. From below:
`scenarios` (what is frozen in each), `arguments`, `task_files` and `comparison_folder` (all that a
worker needs, and all results), `worker` and `running` (a job alone; jobs here or on an executor),
`results`, `baseline`, `drift` (what a job found), `sums` and `bootstrap` (rows drawn again),
`judging`, `figures`, `comparison_data` (what it means), `race_rules` (who is dropped on the way),
`grid`, `table`, `words`, `export`, `report` (how it is shown), `comparison` and `compare`.
"""
