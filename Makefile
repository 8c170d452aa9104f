# `make demo` and `make test` set up .venv by themselves; nothing else is needed but Python 3.10+.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSTRAINTS := constraints.txt
# Threads that spin while they wait make a shared machine several times slower.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test lint docs setup clean

demo: $(VENV)/.base
	$(BIN)/python scripts/demo.py

test: $(VENV)/.dev
	sh scripts/install_chromium.sh || echo "Without it the tests in a browser are skipped." >&2
	sh scripts/install_torchvision.sh $(BIN)/python || echo "Without it the tests of RAFT are skipped." >&2
	sh scripts/install_diffsynth.sh $(BIN)/python || echo "Without it its rules are not compared." >&2
	sh scripts/install_serving.sh $(BIN)/python || echo "Without it transformers serve is not asked." >&2
	sh scripts/install_finetrainers.sh $(BIN)/python || echo "Without it its faults are not shown." >&2
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

docs: $(VENV)/.dev
	$(BIN)/python scripts/cli_docs.py
	$(BIN)/python scripts/paper_docs.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build

setup: $(VENV)/.dev

# A Debian without python3-venv makes bin/python and then fails: it would pass for a whole environment.
$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed")'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.base: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[all]'
	touch $@

# It holds all of the above.
$(VENV)/.dev: $(VENV)/bin/python pyproject.toml $(CONSTRAINTS)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) -e '.[dev]'
	touch $(VENV)/.base $@

clean:
	rm -rf $(VENV) out/demo
