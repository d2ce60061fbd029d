# SPDX-License-Identifier: Apache-2.0
"""Bugs to plant in what holds under threads, interrupts, other processes and strangers' files."""

from __future__ import annotations

from .bugs import Bug

LOCK = "mtfreeze/model/lock.py"
LOCK_TESTS = "tests/model/test_lock.py"
WHOLE = "csrc/python/whole.c"
WHOLE_TESTS = "tests/core/test_core_whole.py"
STILL = "mtfreeze/files/still_folder.py"
STILL_TESTS = "tests/files/test_still_folder.py"
DRAFTS = "mtfreeze/files/drafts.py"
DRAFT_TESTS = "tests/files/test_drafts.py"
TRUST = "mtfreeze/features/trust.py"
TRUST_TESTS = "tests/features/test_features_trust.py"
PROMISES = "mtfreeze/model/promises.py"
PROMISE_TESTS = "tests/model/test_promises.py"
PRINTABLE = "mtfreeze/printable.py"
PRINTABLE_TESTS = "tests/test_printable.py"
QUOTING = "mtfreeze/quoting.py"
QUOTING_TESTS = "tests/test_quoting.py"

BUGS_IN_PROMISES = (
    # ---- the lock of a model
    Bug(
        "work does not wait for a read",
        LOCK,
        "if not self.works or holder.works or now > deadline:",
        "if now > 0:",
        LOCK_TESTS,
    ),
    Bug(
        "a read and work are in a model at once",
        LOCK,
        "while (holder := lock.holds.setdefault(self.process, self)) is not self:",
        "while (holder := lock.holds.setdefault(self.process, self)).works is not self.works:",
        LOCK_TESTS,
    ),
    Bug(
        "reads that follow one another keep work out",
        LOCK,
        "if not self.works and time.monotonic() < lock.due_until:",
        "if not self.works and time.monotonic() < 0.0:",
        LOCK_TESTS,
    ),
    Bug(
        "work in a read of the same thread counts as a read",
        LOCK,
        "            self.works |= holder.works\n",
        "            self.works = holder.works\n",
        LOCK_TESTS,
    ),
    Bug(
        "what an interrupt left in a block keeps the lock",
        LOCK,
        "        while inner is not None and inner is not self:\n            inner = inner.outer\n",
        "        if inner is not self:\n            return\n",
        LOCK_TESTS,
    ),
    Bug(
        "a fork in the middle of another thread's work is not seen",
        LOCK,
        "if left.process != self.process and left.works and left.thread != self.thread:",
        "if left.process != self.process and left.works and left.thread == self.thread:",
        LOCK_TESTS,
    ),
    Bug(
        "a forked process is refused where another thread read",
        LOCK,
        "if left.process != self.process and left.works and left.thread != self.thread:",
        "if left.process != self.process and left.thread != self.thread:",
        LOCK_TESTS,
    ),
    # ---- what no interrupt cuts in two
    Bug(
        "what Python knows changes after the core, not with it",
        "mtfreeze/freezing/facts.py",
        'together([*changes, partial(setattr, model, "_facts", facts)])[:-1]',
        '[one() for one in (*changes, partial(setattr, model, "_facts", facts))][:-1]',
        "tests/drills/test_interrupts.py",
    ),
    Bug(
        "what Python knows changes before the core may refuse",
        "mtfreeze/freezing/facts.py",
        'together([*changes, partial(setattr, model, "_facts", facts)])[:-1]',
        'together([partial(setattr, model, "_facts", facts), *changes])[1:]',
        "tests/freezing/test_facts.py",
    ),
    Bug(
        "an end that was interrupted is not called again",
        WHOLE,
        "for (int i = 0; done == NULL && i < MAX_ENDS; i++) {",
        "for (int i = 0; done == NULL && i < 1; i++) {",
        WHOLE_TESTS,
    ),
    Bug(
        "an interrupted begin has no end",
        WHOLE,
        "    if (begun == NULL) {\n        finish(self);\n    }\n",
        "",
        WHOLE_TESTS,
    ),
    Bug(
        "an error of the block is lost in its end",
        WHOLE,
        "    PyErr_Restore(last.type, last.value, last.trace);\n",
        "    Py_XDECREF(last.type);\n    Py_XDECREF(last.value);\n    Py_XDECREF(last.trace);\n",
        WHOLE_TESTS,
    ),
    # ---- the stop flag and the number of threads
    Bug(
        "workers do not look whether to stop",
        "csrc/base/threads.c",
        "            if (mtf_stopping()) {\n",
        "            if (mtf_stopping() && pool.work == NULL) {\n",
        "c:test_work",
    ),
    Bug(
        "a caller that waits for its workers does not ask whether to stop",
        "csrc/base/threads.c",
        "        (void)mtf_stopping(); /* those inside look at the answer */\n",
        "",
        "c:test_work",
    ),
    Bug(
        "a stopped call says that it is done",
        "csrc/base/work.c",
        "    if (atomic_load(&work->stopped)) {\n",
        "    if (atomic_load(&work->stopped) && work->outer != NULL) {\n",
        "c:test_work",
    ),
    Bug(
        "an update that has begun is stopped in the middle",
        "csrc/train/apply.c",
        "    mtf_work_commit();\n",
        "",
        "c:test_stopping",
    ),
    Bug(
        "weights are half packed after a stop and count as packed",
        "csrc/plan/forms.c",
        "if (!mtf_stopping()) { /* else panels may be missing */",
        "{",
        "c:test_stopping",
    ),
    Bug(
        "set_threads changes the workers of a call under way",
        "csrc/base/threads.c",
        "return work != NULL ? work->n_workers : mtf_threads_get();",
        "return work != NULL ? mtf_threads_get() : mtf_threads_get();",
        "c:test_stopping",
    ),
    # ---- the binding
    Bug(
        "a mask leaks where it is set",
        "csrc/python/freezing.c",
        "    mtf_py_freeze_clear(&freeze);\n    if (status != MTF_OK) {",
        "    if (status != MTF_OK) {",
        "tests/core/test_core_python_memory.py",
    ),
    Bug(
        "a mask leaks where the other one is refused",
        "csrc/python/freezing.c",
        "    if (freeze->units == NULL) {\n        mtf_py_freeze_clear(freeze);\n",
        "    if (freeze->units == NULL) {\n",
        "tests/core/test_core_python_memory.py",
    ),
    # ---- folders that others write
    Bug(
        "a folder is not looked at after it was read",
        STILL,
        "            if look_at(folder) == before:\n                return result\n",
        "            if before is not None:\n                return result\n",
        STILL_TESTS,
    ),
    Bug(
        "a file that was replaced by one of its length is the same",
        STILL,
        "return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns",
        "return status.st_dev, 0, status.st_size, 0",
        STILL_TESTS,
    ),
    Bug(
        "an error over a folder that changes is believed",
        STILL,
        "                if look_at(folder) == before:\n                    raise\n",
        "                if before is not None:\n                    raise\n",
        STILL_TESTS,
    ),
    Bug(
        "drafts that somebody works on are cleared",
        DRAFTS,
        "    except OSError:\n        _let_go(handle)\n        return None\n    return handle",
        "    except OSError:\n        return handle\n    return handle",
        DRAFT_TESTS,
    ),
    Bug(
        "a draft that another process removed is written",
        DRAFTS,
        "return path.stat().st_ino == os.fstat(handle).st_ino",
        "return path.exists() or os.fstat(handle).st_ino > 0",
        DRAFT_TESTS,
    ),
    Bug(
        "a lock that ends with an error fails a save that is done",
        DRAFTS,
        "    with suppress(OSError):\n        os.close(handle)\n",
        "    os.close(handle)\n",
        DRAFT_TESTS,
    ),
    Bug(
        "what only looks like a draft is cleared",
        DRAFTS,
        "len(token) == 8 and set(token) <= _DIGITS",
        "len(token) == 8",
        DRAFT_TESTS,
    ),
    Bug(
        "a cache that the group may write to is trusted",
        TRUST,
        "_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH",
        "_OTHERS_WRITE = stat.S_IWOTH",
        TRUST_TESTS,
    ),
    Bug(
        "a cache of another user is trusted",
        TRUST,
        "if status.st_uid != os.geteuid():",
        "if status.st_uid < 0:",
        TRUST_TESTS,
    ),
    Bug(
        "another user's link to a cache is followed",
        TRUST,
        'hasattr(os, "geteuid") and link.st_uid != os.geteuid():',
        'hasattr(os, "geteuid") and link.st_uid < 0:',
        TRUST_TESTS,
    ),
    # ---- strangers' files
    Bug(
        "a model of any depth is built",
        PROMISES,
        "if n_layers > _MAX_LAYERS:",
        "if n_layers > 100 * _MAX_LAYERS:",
        PROMISE_TESTS,
    ),
    Bug(
        "the shapes of a head are looked at after it was made",
        PROMISES,
        "if entry is None or entry.shape != info.shape:",
        "if entry is None:",
        PROMISE_TESTS,
    ),
    Bug(
        "tensors of the backbone may be missing",
        PROMISES,
        "missing = [name for name in names if name not in entries]",
        "missing = [name for name in names if name not in entries and not entries]",
        "tests/model/test_loading.py",
    ),
    Bug(
        "a tensor that belongs to no head is passed over",
        PROMISES,
        "left = set(head.tensors) - {info.key for info in infos}",
        "left = set(head.tensors) - {info.key for info in infos} if not infos else set()",
        "tests/model/test_saving.py",
    ),
    # ---- strangers' text
    Bug(
        "C1 controls reach a terminal",
        PRINTABLE,
        'r"\\x00-\\x1f\\x7f-\\x9f"',
        'r"\\x00-\\x1f\\x7f"',
        PRINTABLE_TESTS,
    ),
    Bug(
        "text turns its direction",
        PRINTABLE,
        'r"\\u202a-\\u202e\\u2066-\\u2069"',
        'r"\\u202a-\\u202e"',
        PRINTABLE_TESTS,
    ),
    Bug(
        "HTML gets controls",
        PRINTABLE,
        "return html.escape(printable_lines(text))",
        "return html.escape(str(text))",
        PRINTABLE_TESTS,
    ),
    Bug(
        "a long text is quoted whole",
        QUOTING,
        'return text if len(text) <= limit else text[: limit - 1] + "…"',
        "return text",
        QUOTING_TESTS,
    ),
    Bug(
        "all digits of a huge number are asked for",
        QUOTING,
        "elif kind is int and value.bit_length() > 4 * limit:",
        "elif kind is int and value.bit_length() < 0:",
        QUOTING_TESTS,
    ),
    Bug(
        "a container in itself is quoted for ever",
        QUOTING,
        "yield from _items(value, limit, depth - 1)",
        "yield from _items(value, limit, depth)",
        QUOTING_TESTS,
    ),
)
