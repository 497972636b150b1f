# `make` lists what there is. Needed on the machine: Python 3.11 or newer, make and git.

VENV    ?= .venv
BIN     := $(VENV)/bin
PYTHON  ?= $(shell for p in python3.11 python3.12 python3.13 python3.14 python3 python; do \
             command -v $$p >/dev/null 2>&1 \
             && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
             && { echo $$p; break; }; done)
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
TESTS   ?=
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help ask test lint types contracts docs tests bench results ablations notebooks serve clean

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

ask: $(VENV)/.installed ## Answer a mistyped question about a noisy CT slice with the embedded model
	@$(BIN)/imc ask --example

test: lint types contracts docs tests ## Lint, types, import contracts, documentation and all tests

lint: $(VENV)/.installed-dev ## Ruff
	$(BIN)/ruff check .

types: $(VENV)/.installed-dev ## Strict types (mypy)
	$(BIN)/mypy

contracts: $(VENV)/.installed-dev ## Imports run downwards only (import-linter)
	$(BIN)/lint-imports

docs: $(VENV)/.installed-dev ## Build the documentation into site/, strictly and offline
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	@echo "open site/index.html"

tests: $(VENV)/.installed-dev ## The tests alone; TESTS="-k noise -m 'not slow'" narrows them
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadfile $(TESTS)

bench: $(VENV)/.installed ## Time `imc ask`, cold and warm
	$(BIN)/python benchmarks/ask_latency.py

results: $(VENV)/.installed-dev ## Measure the embedded model anew into docs/results (IMC_DATA=...)
	@test -n "$(IMC_DATA)" || { echo "make results: say IMC_DATA=/folder/that/holds/vqa-rad/and/slake" >&2; exit 1; }
	$(BIN)/python benchmarks/results.py --data "$(IMC_DATA)"
	$(BIN)/python scripts/docs_tables.py --write

ablations: $(VENV)/.installed-dev ## What each part of PDC contributes, into docs/results (IMC_DATA=...)
	@test -n "$(IMC_DATA)" || { echo "make ablations: say IMC_DATA=/folder/that/holds/vqa-rad/and/slake" >&2; exit 1; }
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/pdc_ablations.py --data "$(IMC_DATA)"

notebooks: $(VENV)/.installed-dev ## Run the notebooks and keep their outputs
	OMP_NUM_THREADS=1 $(BIN)/python scripts/run_notebooks.py

serve: $(VENV)/.installed-dev ## Serve the graph on this machine with the LangGraph server
	$(BIN)/imc serve

clean: ## Remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
	       .benchmarks .langgraph_api site

# The environment. A stamp file says which installation is done, so that repeats are quick.

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found: install one, or say make PYTHON=/path/to/python" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV) (a few minutes the first time) ..."
	@$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "installing into $(VENV), with the development tools (a few minutes the first time) ..."
	@$(INSTALL) -e ".[dev]"
	@touch $@ $(VENV)/.installed
