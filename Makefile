# `make reproduce` and `make test` set up everything on a fresh machine, then do their job.
PYTHON ?= python3
# PRESET=smoke|laptop|paper; without it config.yaml decides.
PRESET ?=
READY := .venv/.ready

reproduce: $(READY)  ## regenerate every table and figure: reports/<preset>/index.html
	.venv/bin/snakemake --cores all $(if $(PRESET),--config preset=$(PRESET))

test: $(READY)  ## all tests
	.venv/bin/python -m pytest

# ROUNDS=n: how many rounds.
ROUNDS ?= 20

soak: $(READY)  ## kill smoke runs at random until they end, and compare: 20 rounds in about 15 min
	.venv/bin/python tests/soak.py --rounds $(ROUNDS)

check: $(READY)  ## formatting, types and workflow lint
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/snakefmt --check Snakefile workflow/rules
	.venv/bin/mypy
	.venv/bin/mypy benchmarks
	.venv/bin/snakemake --lint

docs: $(READY)  ## renew docs/config.md and docs/config.schema.json from the model, docs/benchmarks.md from its results
	.venv/bin/python -m posenc.plan.documents
	.venv/bin/python benchmarks/page.py

bench: $(READY)  ## measure speed and memory against their baselines, on a machine that does nothing else: docs/benchmarks.md
	.venv/bin/python -m pip install --quiet --no-build-isolation -e '.[bench]'
	.venv/bin/python benchmarks/efficiency.py
	.venv/bin/python benchmarks/against_plain.py
	.venv/bin/python benchmarks/overhead.py
	.venv/bin/python benchmarks/scaling.py
	.venv/bin/python benchmarks/gpu.py
	.venv/bin/python benchmarks/page.py

$(READY): envs/requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "posenc needs Python 3.11 or newer; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -r envs/requirements.txt
	.venv/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

help:  ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

.PHONY: reproduce test soak check docs bench help
