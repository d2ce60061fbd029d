# SPDX-License-Identifier: Apache-2.0
"""Pricing: what a freeze choice computes, keeps and costs, read off the plans of the core.

Called by summaries, estimates, features and pictures; calls models and freezing, changes neither.
"""
