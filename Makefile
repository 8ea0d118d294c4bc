# Everything a fresh machine needs for a first sweep (make demo) and for a change (make test, make lint).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup setup-dev demo test slow lint doctor clean

BIN := .venv/bin
STORE := --storage sqlite:///demo/sweeps.db
ARGS :=
JOBS := 2

help: ## This list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: ## Make .venv (once: about 10 minutes, most of it mmcv's ops)
	@bash docker/setup.sh

setup-dev:
	@bash docker/setup.sh --dev

demo: setup ## A sweep on generated particles, its ranking and its best config, in demo/; goes on if it was interrupted
	@mkdir -p demo; \
	$(BIN)/sweep start search_spaces/demo.yaml $(STORE) --work-dir demo/work_dirs || \
		{ echo "make demo: the sweep did not finish; make demo goes on from there" >&2; exit 1; }; \
	$(BIN)/sweep best $(STORE) --export config --out demo/best_demo.py; \
	echo; \
	echo "The sweep took $$SECONDS s (less if it had run before). What lies where:"; \
	echo "  demo/best_demo.py   the best config: runs with MMDetection's own tools"; \
	echo "  demo/sweeps.db      the study: $(BIN)/sweep rank $(STORE); $(BIN)/sweep dashboard $(STORE)"; \
	echo "  demo/work_dirs/     configs, logs and checkpoints, a folder a trial"

# Two processes side by side, since many tests wait; bytecode is written, for tests start some hundred processes.
test: setup-dev ## The tests (ARGS="tests/runner -k data" picks some)
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder $(ARGS)

slow: setup-dev ## The long trainings
	@$(BIN)/python -m pytest -m slow --collect-only -q $(ARGS) >/dev/null || [ $$? -ne 5 ] || { echo "no slow tests"; exit 0; }; \
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: setup-dev ## ruff, mypy --strict, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

doctor: setup ## What this machine has, and what is wrong with it
	@$(BIN)/sweep doctor

clean: ## Remove demo/ and the tools' caches; .venv stays (rm -rf .venv)
	@rm -rf demo build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
