# SPDX-License-Identifier: Apache-2.0
"""Planning: arguments of a run and a freeze schedule -> every step that the run will take.

Rows, rates, clocks, freeze states: all of it before the first step, and nothing changes. Called by
training, estimates and comparisons; calls models, data and freezing.
"""
