# SPDX-License-Identifier: Apache-2.0
"""Runtime: the process that everything runs in: threads, precisions, progress bars, Ctrl-C.

Called from everywhere above; calls the core and the errors, and knows no model and no data.
"""
