PYTHON ?= python3
BIN := .venv/bin
ALL := .venv/.installed
TOOLS := .venv/.tools

.PHONY: help setup demo test maps check docs coverage bench format clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10

setup: $(ALL) ## Install everything into .venv (PYTHON=python3.12 chooses the interpreter)

demo: $(if $(wildcard $(ALL)),$(ALL),$(TOOLS)) ## Segment three sample photos, or PHOTO=path, into demo/
	$(BIN)/jsisnet demo --out demo $(if $(PHOTO),"$(PHOTO)")

# One thread per worker; the tests of a file share prepared data, so they stay on one worker.
# Files of slow tests come first. xdist waits forever for a worker that it has replaced, so a lost
# one ends the run. Bytecode is written wherever the tests run: they start many processes.
test: setup ## Run the tests on up to four cores
	PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder --max-worker-restart 0 --durations=40

maps: ## Check `pip install .` alone, without torch, in an environment of its own
	@$(PYTHON) -m venv --clear build/maps
	@build/maps/bin/python -m pip install -qq --constraint constraints.txt .
	@build/maps/bin/python .ci/check_maps_wing.py

check: setup docs ## Check format, lint, types, layers, spelling and documentation
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

docs: setup ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

coverage: setup ## Run the tests and list uncovered lines
	$(BIN)/python -m pytest --cov

bench: setup ## Run every benchmark
	@status=0; for script in $(filter-out benchmarks/harness.py benchmarks/pairs.py,$(wildcard benchmarks/*.py)); do \
		echo "== $$script"; $(BIN)/python "$$script" || status=1; done; exit $$status

format: setup ## Format the code and fix what ruff can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean: ## Remove everything that the other targets create, including .venv
	rm -rf .venv demo build dist site .coverage .hypothesis .*_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# An interrupted installation leaves .installing behind, and the next one starts from scratch.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "jsisnet needs Python 3.11 or newer, not $$($(PYTHON) --version);" \
	"choose another interpreter: make PYTHON=python3.11" >&2; exit 1; }
	@test ! -e .venv/.installing && $(BIN)/python -m pip --version >/dev/null 2>&1 \
	|| $(PYTHON) -m venv --clear .venv
	@touch .venv/.installing
	@echo "Installing into .venv ($(strip $(2)))"
	@$(BIN)/python -m pip install -qq --constraint constraints.txt $(1)
	$(3)
	@mv .venv/.installing $@
endef

SOURCES := pyproject.toml constraints.txt src/jsisnet/files/_pixels.c

$(ALL): $(SOURCES)
	$(call install, --editable '.[dev]', about 5 GB; takes a few minutes)

# Of scikit-image only its photos are needed, and nothing that it depends on.
$(TOOLS): $(SOURCES)
	$(call install, --editable ., about 270 MB; takes half a minute, \
	@$(BIN)/python -m pip install -qq --constraint constraints.txt --no-deps scikit-image)
