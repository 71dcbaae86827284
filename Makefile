# baserate: `make help` lists everything. `make demo` and `make test` do all set-up by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-spark test check format lint types contract unit docs docs-serve bench coverage lock clean

help: ## List what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or later is needed (Debian: apt-get install python3 python3-venv)"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; $(PYTHON) is older. Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up $(VENV) (once; a minute or two) ..."
	@$(PYTHON) -m venv $(VENV) || { echo "venv is missing (Debian: apt-get install python3-venv)"; exit 1; }
	@awk '/^uv==/{on=1} on{print} on&&!/\\$$/{exit}' requirements.lock > $(VENV)/uv-alone.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/uv-alone.txt
	@$(BIN)/uv pip install --quiet --system-certs --python $(BIN)/python --compile-bytecode --no-deps --require-hashes -r requirements.lock \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

setup: $(READY) ## Make the virtual environment from requirements.lock

demo: $(READY) ## Measure a replayed platform with known truth: table, report, digests
	@$(BIN)/baserate demo

demo-spark: $(READY) ## Replay a small platform on DuckDB and on Spark: the same digests, or exit 1
	@$(BIN)/python -m baserate.cli.demo_engines

test: $(READY) ## Run the tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not coverage_map"

check: format lint types contract test docs ## What CI runs: format, lint, types, import contract, tests, docs

format: $(READY) ## Check formatting
	@$(BIN)/ruff format --check src tests bench examples

lint: $(READY) ## Lint
	@$(BIN)/ruff check src tests bench examples

types: $(READY) ## Type-check the package, strictly
	@$(BIN)/mypy

contract: $(READY) ## Check that imports run one way
	@$(BIN)/lint-imports

docs: $(READY) ## Build the documentation site into site/
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs-serve: $(READY) ## Read the documentation while editing it
	@$(BIN)/mkdocs serve

bench: $(READY) ## Measure speed, memory and precision; prints tables with ratios
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

coverage: $(READY) ## Measure the coverage of every interval on known-truth worlds (under an hour; resumable)
	@$(BIN)/python -m baserate.worlds.coverage --out .coverage-map

lock: $(READY) ## Resolve dependencies anew into requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --quiet --upgrade --all-extras --group dev --group oracles \
	  --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --no-annotate -o requirements.lock

clean: ## Remove what was built (not the downloads)
	rm -rf $(VENV) site dist demo-workspace .mypy_cache .ruff_cache .pytest_cache .hypothesis
