# Two commands for everybody: make demo, make test. Each sets up .venv first and skips what is done.
#   demo    turn the wheel in simulation, into demo/ (report.html, turns.json)
#   test    all tests: no network, no GPU, under 10 minutes on 2 cores
#   check   everything cheap: format, lint, types, import contract, docs against the code
#   docs    run every code block of README.md and docs/
#   bench   every benchmark, at most an hour; one of them: make bench ONLY=gate
#   venv    only set up
#   clean   remove .venv and demo/

PYTHON ?= python3
JOBS ?= 2
# Where to get the CPU build of torch when pip's configured sources have none. PyPI's own build for Linux carries CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
STAMP := .venv/.installed
TORCH := $(shell sed -n 's/^train = \["torch==\([0-9.]*\)"\]$$/\1/p' pyproject.toml)

.PHONY: demo test check docs bench venv clean
.DEFAULT_GOAL := test

demo: $(STAMP)
	$(BIN)/python examples/demo.py demo

test: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture

docs: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) tests/docs

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(if $(ONLY),--only $(ONLY))

venv: $(STAMP)

clean:
	rm -rf .venv demo

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, not " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q "torch==$(TORCH)+cpu" 2>/dev/null \
	    || { echo "no CPU build of torch $(TORCH) in pip's sources; taking it from $(TORCH_INDEX)"; \
	         $(BIN)/python -m pip install -q --no-deps --index-url $(TORCH_INDEX) "torch==$(TORCH)"; }
	$(BIN)/python -m pip install -q -e ".[train,sim,data,rerun,dev]"
	@touch $@
