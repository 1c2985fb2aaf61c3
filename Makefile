# Every target after `##` is listed by `make help`. Nothing but make, a shell and a Python (or uv) is needed.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all bench lint types imports check lock build clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LOCK := requirements.lock
EXTRAS := dev formula s3
# Files of tests side by side, each in one process, since what it compiles is used by the next test.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile
BENCH := .venv-bench
BENCH_STAMP := $(BENCH)/.installed

# PyMC 6 needs 3.12. The venv module is asked for too, because some systems ship Python without it.
USABLE := import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))
# In this order: what CI tests with, what the user calls python3, and what pyenv has but does not show.
PYTHONS := python3.12 python3 python3.13 \
	$${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.12*/bin/python3 $${PYENV_ROOT:-$$HOME/.pyenv}/versions/3.13*/bin/python3

help: ## Print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

setup: $(STAMP) ## Install bayesrun and everything it needs into .venv/, as locked

demo: setup ## The main job: one model on real data, two samplers, compared
	$(BIN)/bayesrun -m model=hierarchical sampler=nuts,advi

test: setup ## Run the tests that need no GPU, browser or more than a minute each
	$(BIN)/pytest $(PARALLEL)

test-all: setup ## Run the slow tests too
	$(BIN)/pytest $(PARALLEL) -m "not gpu and not browser"

bench: $(BENCH_STAMP) ## Time bayesrun against loops of PyMC, NumPyro and nutpie (QUICK=1: a few fits only)
	$(BENCH)/bin/python -m benchmarks.run $(if $(QUICK),--quick)

lint: setup ## Check style and format of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup ## Check the types of the package
	$(BIN)/mypy

imports: setup ## Check that imports follow the layers
	$(BIN)/lint-imports

check: lint types imports ## All checks that run no code: lint, types, imports

lock: setup ## Pin the newest allowed version of everything (address and path free), then run make setup
	$(BIN)/uv pip compile pyproject.toml $(EXTRAS:%=--extra %) --universal --python-version 3.12 --upgrade --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links --output-file $(LOCK)

build: setup ## Build the source archive and the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation

clean: ## Remove caches and builds; .venv/ and studies/ stay
	rm -rf dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests conf -name __pycache__ -type d -prune -exec rm -rf {} +

# The venv itself has no target of its own: one made with an older Python has to be noticed as well.
# uv comes from pip and into the venv, because a uv of another pyenv version is not found through its shim.
$(STAMP): pyproject.toml $(LOCK)
	@set -e; \
	if ! $(BIN)/python -c '$(USABLE)' 2>/dev/null; then \
		made=; \
		for python in $(PYTHONS); do \
			"$$python" -c '$(USABLE)' >/dev/null 2>&1 || continue; \
			echo "Making $(VENV)/ with $$("$$python" --version) ($$python)"; \
			"$$python" -m venv --clear $(VENV); made=yes; break; \
		done; \
		if [ -z "$$made" ] && uv --version >/dev/null 2>&1; then \
			echo "No Python 3.12 or newer here: uv brings one into $(VENV)/"; \
			uv venv --clear --seed --python 3.12 $(VENV) && made=yes; \
		fi; \
		if [ -z "$$made" ]; then \
			echo "bayesrun needs Python 3.12 or newer with its venv module; this machine's python3 is $$(python3 --version 2>&1 | head -n 1)." >&2; \
			echo "Install one (the system's packages, pyenv install 3.12) or install uv, which brings one; then run make again." >&2; \
			exit 1; \
		fi; \
	fi
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip
	$(BIN)/python -m pip install --quiet --constraint $(LOCK) uv
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --requirement $(LOCK)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --editable .
	@touch $(STAMP)

# The benchmarks have an environment of their own: pm.sample would choose nutpie where it is installed.
$(BENCH_STAMP): $(STAMP) benchmarks/requirements.txt
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(BENCH)
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BENCH)/bin/python --requirement $(LOCK) --requirement benchmarks/requirements.txt
	$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --no-build-isolation --no-deps --editable .
	@touch $@
