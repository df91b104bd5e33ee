# Two commands on a fresh machine: `make demo` and `make test`. Only Python 3.11 is needed.
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= demo

.PHONY: demo test test-all lint bench venv clean

demo: $(VENV)/.installed
	$(BIN)/python -m tools.demo --dir $(DEMO)

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "not slow" -n 2 --dist loadfile

test-all: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# Peers are optional: OFFICIAL, a checkout of tensorflow/models; PEERS_PYTHON, an interpreter with torch. ONLY is a section.
bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks.performance $(addprefix --only ,$(ONLY)) $(addprefix --official ,$(OFFICIAL)) \
	  $(addprefix --peers_python ,$(PEERS_PYTHON)) $(addprefix --record_dir ,$(RECORDS))

venv: $(VENV)/.installed-dev

$(VENV)/.installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null \
	  || { echo "Python 3.11 is needed (TensorFlow 2.15.1 has no wheels for others): make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-datasets.txt requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-datasets.txt --requirement requirements-dev.txt
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO)
