# Every act a developer performs. `make` lists them.
PYTHON ?= python3
BIN := .venv/bin
PYTEST_ARGS ?= -n auto --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help setup demo serve web wheel check test test-gpu bench fmt

help: ## list the acts
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: .venv/runtime.stamp ## create .venv and install Tintype

demo: .venv/runtime.stamp ## run one job from request to stored pictures, with no keys
	@$(BIN)/tintype demo

serve: .venv/node.stamp ## keep the server up on http://127.0.0.1:54321, with its web app
	@$(BIN)/python web/build.py build || echo "The web app was not built; the server runs without."
	@$(BIN)/tintype serve

web: .venv/node.stamp ## build the web app that the server gives to browsers
	@$(BIN)/python web/build.py build

wheel: web ## build the web app and the wheel that brings it, into dist/
	@rm -rf build
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

check: .venv/check.stamp .venv/node.stamp ## formatting, lint, types, import floors, SQL style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/sqlfluff lint --processes 2 tintype/sql
	$(BIN)/python web/build.py check

test: .venv/test.stamp .venv/bench.stamp .venv/node.stamp ## the whole test suite
	$(BIN)/python web/build.py test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-gpu: .venv/test.stamp .venv/gpu.stamp ## the GPU workers, on tiny models; on the GPU if there is one
	$(BIN)/python -m pytest tests/gpu

bench: .venv/bench.stamp ## measure against peers in the same run; writes bench/out/latest.json
	$(BIN)/python -m bench

fmt: .venv/check.stamp ## rewrite formatting
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tintype needs Python 3.11 or newer")'
	@$(PYTHON) -m venv .venv || { echo "python3 -m venv failed: on Debian run 'apt-get install python3-venv' first"; exit 1; }

.venv/runtime.stamp: .venv/bin/python pyproject.toml
	@echo "Installing Tintype into .venv ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

# The machine's Node, or one that comes as a Python wheel.
.venv/node.stamp: .venv/runtime.stamp
	@$(BIN)/python web/build.py node 2>/dev/null \
	  || $(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[web]'
	@touch $@

.venv/%.stamp: .venv/runtime.stamp
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[$*]'
	@touch $@
