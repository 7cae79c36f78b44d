# `make run` and `make test` are all a newcomer needs; both make the environment first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN := runs/SrTiO3

.PHONY: setup run test test-slow check clean

setup: $(STAMP)

# One rule for every install: constraints.txt holds the tested versions, a CPU build of torch among them.
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): some minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[mpich,dev,docs,metrics,tblite]"
	@touch $@

run: setup
	$(BIN)/mpirun -n 2 $(BIN)/xtalseek search SrTiO3 -n 24 --formula-units 1 --seed 1 --out $(RUN)

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: setup
	$(BIN)/python -m pytest -n 2 --dist loadfile -m slow

check: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info
