# `make demo` and `make test` set up everything they need in `.venv`, on a fresh machine too.
VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin

.PHONY: demo test lint types clean

demo: $(VENV)/installed
	rm -rf demo
	$(BIN)/mbrl-taskmet train taskmet --num-distractors 16 --seeds 0 1 --timesteps 50000 --folder demo

test: $(VENV)/installed
	$(BIN)/python -m pytest

lint: $(VENV)/installed types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The top level's folders mapped into the package, as folders that mypy can follow.
types:
	rm -rf build/types
	mkdir -p build/types/mbrl_taskmet
	ln -s $(CURDIR)/mbrl_taskmet/*.py $(CURDIR)/mbrl_taskmet/py.typed build/types/mbrl_taskmet
	ln -s $(addprefix $(CURDIR)/,mbrl_taskmet/cli mbrl_taskmet/decision mbrl_taskmet/runs agents envs benchmarks studies) build/types/mbrl_taskmet

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt torch
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build dist demo *.egg-info
