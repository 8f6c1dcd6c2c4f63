# The habitual commands; README.md has the same lines for those without make.
# Everything runs in .venv, which is made on first use and renewed when
# pyproject.toml or constraints.txt change, this folder moves or its Python is gone.

SHELL := /bin/sh
export OMP_NUM_THREADS := 1
export JUPYTER_PREFER_ENV_PATH := 1

# The first of these that is 3.11 or newer; say PYTHON=/path/to/python to choose.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
COLAB := .venv-colab
OLDEST := .venv-oldest
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider
NOTEBOOKS := $(wildcard chapters/[0-9]*.ipynb)
PARTS := test-library test-notebooks test-browser-1 test-browser-2 test-book
# .venv/ready names the folder that the course was installed from.
STALE := $(shell test ! -e $(VENV)/ready || { $(BIN)/python -c '' 2>/dev/null && \
	{ test ! -s $(VENV)/ready || test "$$(cat $(VENV)/ready)" = "$(CURDIR)"; }; } || echo stale)
# Nothing for the newest versions of all packages: make test CONSTRAINTS=
CONSTRAINTS ?= constraints.txt
# More for jupyter lab, such as LAB_ARGS="--no-browser --port 9999".
LAB_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab update test $(PARTS) test-colab test-oldest notebooks book lint format clean stale

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /|/' | awk -F'|' '{printf "make %-12s %s\n", $$1, $$2}'

lab: $(VENV)/ready ## open the course in JupyterLab
	JUPYTER_CONFIG_PATH="$(CURDIR)/tools/jupyter" $(BIN)/python -m jupyterlab \
		--ServerApp.root_dir=chapters --LabApp.default_url=/lab/tree/00_start_here.ipynb \
		$$(test "$$(id -u)" != 0 || echo --allow-root) $(LAB_ARGS)

update: ## get the new edition; what you changed is kept in chapters/my_work
	$(need-python)
	@$(PYTHON) tools/update.py

# Two at a time, the longest first; --part deals the chapters out to two browsers.
# Make 4 keeps their outputs apart; the 3.81 of a Mac mixes them.
test: $(VENV)/ready lint ## all tests: library, notebooks, browser
	@echo "$(words $(PARTS)) parts, two at a time; each shows what it found when it is through"
	@$(MAKE) --no-print-directory -k -j2 $(if $(filter output-sync,$(.FEATURES)),-Otarget) $(PARTS)

test-library: $(VENV)/ready
	$(PYTEST) tests --ignore=tests/browser --ignore=tests/book

test-notebooks: $(VENV)/ready
	$(PYTEST) --nbval --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-sanitize-with=nbval.cfg --durations=3 $(NOTEBOOKS)

test-browser-1 test-browser-2: test-browser-%: $(VENV)/ready
	$(PYTEST) tests/browser --part=$*/2

test-book: $(VENV)/ready
	$(PYTEST) tests/book

test-colab: $(COLAB)/ready ## run every notebook alone, with Colab's versions
	$(COLAB)/bin/python tools/colab_check.py

# Most of it is torch with CUDA: gigabytes on Linux. TORCH=2.13.0 takes another one.
# Notebooks are made with plotly 6 or newer: 5 puts all its script into each.
test-oldest: $(OLDEST)/ready ## library and two notebooks with the oldest versions admitted
	$(OLDEST)/bin/pytest -q -p no:cacheprovider tests --ignore=tests/browser --ignore=tests/book \
		--ignore=tests/test_notebooks.py
	$(OLDEST)/bin/pytest -q -p no:cacheprovider --nbval --nbval-current-env --nbval-cell-timeout=120 \
		--nbval-sanitize-with=nbval.cfg chapters/00_start_here.ipynb chapters/04_switch.ipynb

notebooks: $(VENV)/ready ## execute chapters/*.py into chapters/*.ipynb (ONLY=NAME for one)
	$(BIN)/python tools/notebooks.py $(ONLY)

book: $(VENV)/ready ## build the site into build/book
	PATH="$(CURDIR)/$(BIN):$$PATH" mdbook build
	$(BIN)/python tools/api.py build/book/api
	@cd build/book && rm -rf .ipynb_checkpoints .ruff_cache ruff.toml __pycache__ progress.json* leaderboard.json* my_work
	@echo "open build/book/index.html"

lint: $(VENV)/ready ## ruff, and the spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/typos

format: $(VENV)/ready ## ruff, mending what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built (not the notebooks)
	rm -rf build $(VENV) $(COLAB) $(OLDEST) chapters/assets .pytest_cache .ruff_cache .hypothesis

define need-python
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(or $(PYTHON),python3) is" \
			"$$($(or $(PYTHON),python3) --version 2>/dev/null || echo 'not there')."; \
		echo "Install one, then: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
endef

$(VENV)/ready: pyproject.toml constraints.txt $(STALE)
	$(need-python)
	@$(BIN)/python -c '' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing the course into $(VENV): minutes the first time, mostly torch"
	@$(BIN)/python -m pip install -q --disable-pip-version-check $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@echo "$(CURDIR)" > $@

$(COLAB)/ready: tools/colab-requirements.txt
	$(need-python)
	@test -x $(COLAB)/bin/python || $(PYTHON) -m venv $(COLAB)
	@echo "installing Colab's versions into $(COLAB)"
	@$(COLAB)/bin/python -m pip install -q --disable-pip-version-check -r $<
	@touch $@

# The lower bounds of pyproject.toml, then the newest tools for testing around them.
$(OLDEST)/ready: pyproject.toml
	$(need-python)
	@test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	@echo "installing the oldest versions into $(OLDEST)"
	@$(OLDEST)/bin/python -m pip install -q --disable-pip-version-check uv
	@$(OLDEST)/bin/uv pip install -q --python $(OLDEST)/bin/python --resolution lowest-direct \
		$(if $(TORCH),torch==$(TORCH)) -e '.[lab]'
	@$(OLDEST)/bin/uv pip install -q --python $(OLDEST)/bin/python -e '.[lab,test,notebooks,book]'
	@touch $@
