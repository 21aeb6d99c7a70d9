# Two commands matter: `make run` and `make test`. Everything is set up by the targets themselves.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON := .venv/bin/python
NAME ?= payments-api
# Only from the command line: many environments have a PORT of their own.
PORT = 7071
WORKERS ?= 4
# Compiled once, and outside the tree: every process of a local run starts in half the time.
export PYTHONDONTWRITEBYTECODE :=
export PYTHONPYCACHEPREFIX := $(CURDIR)/.local/cache/bytecode

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: ## .venv with what a local run needs
	@local/bootstrap.sh local

setup-dev: ## .venv with the development tools as well
	@local/bootstrap.sh dev

run: setup ## order NAME=payments-api and watch it become a running service, on PORT=7071; stays up until Ctrl-C
	@exec $(PYTHON) -m local.run --name '$(NAME)' --port '$(PORT)'

once: setup ## the same, but ends when the application runs
	@exec $(PYTHON) -m local.run --name '$(NAME)' --port '$(PORT)' --once

drift: setup ## compare APP=payments-api with what it should be
	@exec $(PYTHON) -m local.run.drift --application '$(APP)'

audit-verify: setup ## follow every audit trail; names the first changed or missing entry of each
	@exec $(PYTHON) -m local.run.audit

prices: setup ## refresh rules/prices.json from Azure's list prices, and print what changed
	@exec $(PYTHON) -m shared.price_refresh

undo: setup ## remove everything that REQUEST=<id> made
	@exec $(PYTHON) -m local.run.undo --request '$(REQUEST)'

test: lint ## the whole suite: style, types, import rules, tests
	@exec $(PYTHON) -m pytest -m "not long" -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: setup-dev ## ruff, mypy --strict, import rules
	@$(PYTHON) -m ruff check --quiet .
	@$(PYTHON) -m ruff format --quiet --check .
	@$(PYTHON) -m mypy --no-error-summary .
	@told=$$($(PYTHON) -c 'from importlinter.cli import lint_imports_command as run; run()' --no-cache) || { echo "$$told"; exit 1; }

unit: setup-dev ## the tests that need no process
	@exec $(PYTHON) -m pytest tests/unit tests/structure

proofs: setup-dev ## the long proofs that the suite runs a sample of; the longest is crash-matrix
	@exec $(PYTHON) -m pytest -m long --ignore tests/e2e/test_crash_matrix.py $(PYTEST_ARGS)

crash-matrix: setup-dev ## kill the host after each external call of the whole flow; n of n must finish
	@exec $(PYTHON) -m pytest tests/e2e/test_crash_matrix.py -m long -s -p no:randomly --timeout 3600

bench-cold-start: setup-dev ## import of the app against the smallest app with the same libraries
	@exec $(PYTHON) tests/bench/cold_start.py

bench-provision: setup-dev ## 1, 10, 50 onboardings at once, and the same ten steps in a real Backstage beside it
	@exec $(PYTHON) -m tests.bench.provision

bench-day2: setup-dev ## tag policies beside plain Python and Cloud Custodian, events, writes beyond Azure's limit
	@exec $(PYTHON) -m tests.bench.day2 $(BENCH_ARGS)

bundle: setup ## dist/bundle.tar.gz: the rules for an OPA server, and their revision
	@$(PYTHON) -m shared.rule_set dist/bundle.tar.gz

docs: setup-dev ## write the generated parts of docs/ anew
	@exec $(PYTHON) -m docs.generate

trace-picture: setup ## onboard once, kill the host in the middle, draw the one trace into docs/trace.svg
	@exec $(PYTHON) -m local.traces $(TRACE_ARGS)

test-backstage: setup-dev ## the Backstage client and its stand-in against a real Backstage from npm, on PostgreSQL
	@$(PYTHON) -m tests.backstage.backend
	@exec env APPSTORE_TEST_BACKSTAGE=1 $(PYTHON) -m pytest tests/integration/test_backstage.py -p no:xdist $(PYTEST_ARGS)

test-archetypes: setup-dev ## every archetype in every combination of its parameters, by the tools of its owner team and pipeline
	@tests/archetypes/tools.sh
	@exec env APPSTORE_ARCHETYPE_TOOLS=$(CURDIR)/.local/cache/archetype-tools $(PYTHON) -m pytest tests/archetypes tests/infra/test_checkov.py -n $(WORKERS) $(PYTEST_ARGS)

test-custodian: setup-dev ## the clean-up's policies and filters against a real Cloud Custodian from PyPI, in an environment of its own
	@tests/custodian/install.sh
	@exec env APPSTORE_TEST_CUSTODIAN=$(CURDIR)/.local/cache/custodian $(PYTHON) -m pytest tests/custodian -p no:xdist $(PYTEST_ARGS)

test-package: setup-dev ## build the deployment package, unpack it elsewhere, install only requirements.txt, run it
	@exec $(PYTHON) -m local.package

size: setup ## lines of product, local and tests
	@exec $(PYTHON) -m local.size

lock: setup-dev ## resolve *.in into hash-pinned locks (UPGRADE=1 for newer releases)
	@local/lock.sh

clean: ## forget the state of local runs, keep .venv
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local.clean; else rm -rf .local; fi
