# SPDX-License-Identifier: Apache-2.0
"""losses: what a step learns from beside the losses that the core knows."""
