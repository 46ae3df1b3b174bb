# edgeferry's whole interface for people who build it. `make` alone lists it.
# Needs only Python 3.11 to 3.13 with venv, git and make; everything else goes into .venv from the lock.

PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	command -v $$python >/dev/null 2>&1 && $$python -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	>/dev/null 2>&1 && { echo $$python; break; }; done)
# Bytecode makes every start quick: without it each import of TensorFlow takes three times as long.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
STAMP := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test runtimes ray test-fast check format bench lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

install: $(STAMP) ## Make .venv with everything but Ray, from the hashed lock

$(STAMP): requirements/all.txt requirements/data.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: no Python 3.11 to 3.13 with venv found"; echo "hint: apt install python3 python3-venv"; exit 1; }
	@echo "== making .venv with $(PYTHON) and installing the lock (about 3 GB, some minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/all.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/data.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)
	@echo "== installed"

demo: install ## Tell the whole story on this machine: train, convert, sign, roll out, drift, retrain
	@$(BIN)/edgeferry demo $(ARGS)

test: install ## All tests that this machine can run
	@$(BIN)/python -m pytest -q -n auto --dist loadfile $(ARGS)

runtimes: install ## Make the runtime environments that tests try variants in (tflite-runtime needs a Python 3.11)
	@for pin in ai-edge-litert==1.4.0 tflite-runtime==2.14.0; do \
		test -d .venv/runtimes/$$(echo $$pin | sed 's/==/-/') || $(BIN)/edgeferry runtimes add $$pin --folder .venv/runtimes || exit 1; done

ray: install ## Add Ray to .venv (250 MB), with which tests try tuning and prediction
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/ray.txt

test-fast: install ## Unit and property tests only
	@$(BIN)/python -m pytest -q -n auto --dist loadfile tests/unit tests/property tests/compat -m "not slow" $(ARGS)

check: install ## What CI runs first: format, lint, types, import contracts, fast tests
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(MAKE) --no-print-directory test-fast

format: install ## Format and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: install ## Measure (results go to docs/benchmarks.md by hand, with the machine)
	@for bench in benchmarks/*.py benchmarks/*/__main__.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

lock: ## Resolve the lock anew (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra all --group test --group lint --group build --no-emit-package edgeferry pyproject.toml -o requirements/all.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		--extra ray --constraint requirements/all.txt --no-emit-package edgeferry pyproject.toml -o requirements/ray.txt

clean: ## Remove .venv and caches
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
