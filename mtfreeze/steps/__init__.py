# SPDX-License-Identifier: Apache-2.0
"""Steps: rows -> the batch of one optimizer step, and the step itself, with or without features.

Called by training, evaluation, estimates and the model's own ``step``; calls the core, plans of
runs, features and losses.
"""
