# Two commands for everybody: make demo, make test. Each sets up .venv first and skips what is done.
#   demo    turn the wheel in simulation, into demo/ (report.html, turns.json)
#   test    all tests: no network, no GPU, under 10 minutes on 2 cores
#   check   everything cheap: format, lint, types, import contract, docs against the code
#   docs    run every code block of README.md and docs/
#   bench   every benchmark, one to two hours; one of them: make bench ONLY=gate
#   study   the long studies: do chosen demonstrations make better policies? goes on where it stopped; ONLY=novelty
#   peers   what benchmarks compare with, each in an environment of its own under .peers (PYTHON312=python3.12)
#   serve   the pages and the interface over demo/, or another workspace: make serve WORKSPACE=...
#   openapi  write docs/openapi.json anew after the interface changed
#   venv    only set up
#   clean   remove .venv and demo/

PYTHON ?= python3
PYTHON312 ?= python3.12
JOBS ?= 2
WORKSPACE ?= demo
# Where to get the CPU build of torch when pip's configured sources have none. PyPI's own build for Linux carries CUDA.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

BIN := .venv/bin
STAMP := .venv/.installed
TORCH := $(shell sed -n 's/^train = \["torch==\([0-9.]*\)"\]$$/\1/p' pyproject.toml)

.PHONY: demo test check docs bench study peers serve openapi venv clean
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

study: $(STAMP)
	$(BIN)/python -m benchmarks --study $(if $(ONLY),--only $(ONLY))

# LeRobot caps torch below ours and needs Python 3.12; Rerun's loader needs more than its viewer does. Both decode on the
# CPU: LeRobot's torchcodec finds FFmpeg only where the system has it (apt-get install ffmpeg), else it falls back to PyAV.
peers: .peers/lerobot/.installed .peers/rerun/.installed

.peers/lerobot/.installed:
	$(PYTHON312) -m venv .peers/lerobot
	@.peers/lerobot/bin/python -m pip install -q --index-url $(TORCH_INDEX) \
	        torch==2.11.0 torchvision==0.26.0 torchcodec==0.11.1 2>/dev/null \
	    || echo "no CPU builds of torch 2.11 at $(TORCH_INDEX); taking PyPI's, which carry CUDA"
	.peers/lerobot/bin/python -m pip install -q "lerobot[dataset]==0.6.1"
	@touch $@

.peers/rerun/.installed:
	$(PYTHON) -m venv .peers/rerun
	@.peers/rerun/bin/python -m pip install -q "torch==$(TORCH)+cpu" 2>/dev/null \
	    || .peers/rerun/bin/python -m pip install -q --index-url $(TORCH_INDEX) "torch==$(TORCH)"
	.peers/rerun/bin/python -m pip install -q "rerun-sdk[catalog]==0.41.0" "av>=14" numpy pillow
	@touch $@

serve: $(STAMP)
	$(BIN)/saqiya serve -w $(WORKSPACE)

openapi: $(STAMP)
	$(BIN)/python -m saqiya.server.openapi docs/openapi.json

venv: $(STAMP)

clean:
	rm -rf .venv demo

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, not " + sys.version.split()[0] + ": make PYTHON=python3.11")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q "torch==$(TORCH)+cpu" 2>/dev/null \
	    || { echo "no CPU build of torch $(TORCH) in pip's sources; taking it from $(TORCH_INDEX)"; \
	         $(BIN)/python -m pip install -q --no-deps --index-url $(TORCH_INDEX) "torch==$(TORCH)"; }
	$(BIN)/python -m pip install -q -e ".[train,sim,pusht,data,rerun,index,serve,postgres,dev]"
	@touch $@
