# What a developer runs; `make` alone lists it. Everything happens in .venv, made on first use.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Arguments for pytest, e.g. make test PYTEST_ARGS="-k claim -x"
PYTEST_ARGS ?=
# How much of everything `make chaos` takes: small, or full.
SCALE ?= small
# The tests mostly wait for processes that they start, so four at a time take half as long even on two cores, each with
# a database of its own. Emptied, they run one after the other, as a debugger needs it: make test PYTEST_PARALLEL=
export PYTEST_PARALLEL ?= -n 4 --dist worksteal
# At small scale the scenarios mostly wait for leases and restarts; at full scale each has the machine for itself.
CHAOS_PARALLEL ?= $(if $(filter small,$(SCALE)),-n 3 --dist worksteal)

.DEFAULT_GOAL := help
.PHONY: help demo site test test-services test-browser test-wheel chaos check lint types floors checks messages matrix bench docs clean

help:  ## this list
	@awk -F ':.*##  *' '/^[a-z-]+:.*##/ {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## 500 comments through a real site and worker on SQLite, then the sums
	$(BIN)/python -m testproject.demo

site: $(INSTALLED)  ## the demo's site and its admin, to look around in
	$(BIN)/python -m testproject.demo site

test: $(INSTALLED)  ## all tests on SQLite; those of services that do not answer are skipped
	$(BIN)/python -m pytest -m "not packaging and not chaos" $(PYTEST_PARALLEL) $(PYTEST_ARGS)

test-services: $(INSTALLED)  ## the tests on PostgreSQL, on MariaDB, and those of Redis and RabbitMQ
	.ci/test-services $(PYTEST_ARGS)

test-browser: $(INSTALLED)  ## the admin's pages in Chromium; pictures of them in .screenshots
	$(BIN)/python -m pytest -m browser tests/browser $(PYTEST_ARGS)

test-wheel: $(INSTALLED)  ## build the wheel, install it in an empty venv, run a task there
	$(BIN)/python -m pytest -m packaging $(PYTEST_ARGS)

chaos: $(INSTALLED)  ## break workers, brokers and databases, and count; SCALE=full takes its time
	CHAOS_SCALE=$(SCALE) $(BIN)/python -m tests.chaos $(CHAOS_PARALLEL) $(PYTEST_ARGS)

check: lint types floors checks  ## everything that reads the code without running it

lint: $(INSTALLED)  ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)  ## mypy --strict
	$(BIN)/mypy

floors: $(INSTALLED)  ## imports only go down (setup.cfg says where down is)
	$(BIN)/lint-imports

checks: $(INSTALLED)  ## Django's system checks; no migration is missing
	$(BIN)/python manage.py check --fail-level WARNING
	$(BIN)/python manage.py makemigrations --check --dry-run

messages: $(INSTALLED)  ## gather what is shown into the .po files, compile them, count what is untranslated
	.ci/messages

matrix: $(INSTALLED)  ## the fast tests on each supported pair of Python and Django found here
	.ci/matrix $(PYTEST_ARGS)

bench: $(INSTALLED)  ## measure this and its peers, in turn: make bench BENCH="drain redis --rounds 1"
	$(BIN)/python -m benchmarks $(BENCH)

docs: $(INSTALLED) $(VENV)/.installed-docs  ## the documentation as HTML, in docs/_build
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:  ## remove what can be made again; .venv and .matrix too
	rm -rf $(VENV) .matrix .bench .chaos .screenshots build dist docs/_build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(INSTALLED): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is older than 3.11. Name a newer one: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Installing into $(VENV) (once, and again when setup.cfg changes)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install -qq --editable ".[dev]"
	@touch $@

$(VENV)/.installed-docs: setup.cfg | $(INSTALLED)
	@$(BIN)/python -m pip install -qq --editable ".[docs]"
	@touch $@
