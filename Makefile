# Everything from a bare clone: `make demo` shows a market, `make test` checks the project.
# Needs Python 3.11 or newer and make; the rest is installed into .venv and node_modules.
SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv/bin/python
FORGE = $(firstword $(wildcard contracts/node_modules/@foundry-rs/forge-*/bin/forge*))
JOBS ?= 2

.DEFAULT_GOAL := help
.PHONY: help setup quickstart demo deploy-demo byzantine test test-slow fuzz-long defences slither wheel lint pytest forge gas artifacts clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## Install what is missing (done by every other target)
	@$(PYTHON) .ci/setup.py

quickstart: setup  ## Run the smallest app in a market: 18 data owners, a local chain
	@$(RUN) -m omnilytics_flwr local -- flwr run runs/examples/quickstart
	@echo "Next: docs/start/quickstart.md says what you saw, and puts an app of yours into a market."

demo: setup  ## Run one market: 20 data owners, MNIST, a local chain
	@$(RUN) -m runs.mnist

deploy-demo: setup  ## Run one market in real processes: SuperLink, SuperNodes, owner agents
	@$(RUN) -m runs.deployment

byzantine: setup  ## Measure accuracy and pay against kind and number of attackers
	@$(RUN) -m runs.byzantine

defences: setup  ## Remove one defence at a time and see its test fail
	@$(RUN) .ci/defences.py

test: setup  ## Check everything that ends within minutes
	@$(MAKE) --no-print-directory -j $(JOBS) lint forge
	@$(MAKE) --no-print-directory pytest

lint: setup  ## Check format, rules and types
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy

forge: setup  ## Test the contracts, quick profile
	@cd contracts && FOUNDRY_PROFILE=quick $(CURDIR)/$(FORGE) test

pytest: setup  ## Test the Python side; what is skipped is told at the end
	@$(RUN) -m pytest -n $(JOBS) -rs

test-slow: setup  ## Run the tests marked slow
	@$(RUN) -m pytest -n $(JOBS) -m slow

fuzz-long: setup  ## Fuzz contracts and decoders for long
	@cd contracts && FOUNDRY_PROFILE=long $(CURDIR)/$(FORGE) test
	@HYPOTHESIS_PROFILE=long $(RUN) -m pytest -n $(JOBS) -m "slow or not slow"

slither: setup  ## Analyse the contracts statically, in an environment of its own
	@$(RUN) contracts/analyse.py

wheel: setup  ## Install the wheel with each extra into an environment of its own
	@$(RUN) .ci/wheel.py

gas: setup  ## Measure gas and rewrite contracts/gas.json
	@$(RUN) contracts/gas.py

artifacts: setup  ## Compile the contracts into the package
	@$(RUN) contracts/compile.py

clean:  ## Remove what was installed and built; records of runs stay
	@rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache contracts/cache contracts/out contracts/.venv
	@rm -rf contracts/node_modules runs/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
