# Everything that a fresh machine with Python 3.11 needs to try, test and change anyecg_hf. `make` lists the targets.

PYTHON ?= $(shell command -v python3.11 || echo python3)
# Further options for installing torch, such as the index of a CUDA or CPU build.
TORCH_PIP_ARGS ?=
# Empty to see what pip does.
PIP_QUIET ?= -qq
PYTEST_ARGS ?= -n 2 --dist loadfile
# The record that `make demo` reads; simulated when empty.
RECORD ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PIP := $(BIN)/python -m pip $(PIP_QUIET) --disable-pip-version-check --no-input install
DEMO := demo-output
SIMULATED := $(DEMO)/simulated
DEMO_RECORD := $(or $(RECORD),$(SIMULATED))
DEMO_PICTURE := $(DEMO)/$(basename $(notdir $(DEMO_RECORD))).png

.PHONY: help venv demo test lint format clean distclean
.DELETE_ON_ERROR:

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' $(MAKEFILE_LIST) | expand -t 16
	@echo "Variables: PYTHON, RECORD (demo), PYTEST_ARGS (test), PIP_QUIET and TORCH_PIP_ARGS (venv)"

venv: $(READY) ## install everything into .venv, as far as it is not there yet

# torch comes first and by itself: asked for more loosely, pip would take the newest build and gigabytes of CUDA with it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "anyecg_hf needs Python 3.11 or newer, '$(PYTHON)' is not: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up $(VENV) with $$($(PYTHON) --version); the first time takes a few minutes."
	@$(PYTHON) -m venv $(VENV)
	@echo "  torch ..."
	@$(PIP) $(TORCH_PIP_ARGS) "$$(grep '^torch==' constraints.txt)"
	@echo "  anyecg_hf and its libraries ..."
	@$(PIP) --constraint constraints.txt --editable ".[all,dev]"
	@touch $@

demo: $(READY) ## a record in; rhythm codes, probabilities and a picture out (RECORD=path for your own)
	@mkdir -p $(DEMO)
ifeq ($(RECORD),)
	@$(BIN)/python examples/simulate_record.py $(SIMULATED)
endif
	$(BIN)/anyecg run "$(DEMO_RECORD)" --output "$(DEMO_PICTURE)"
	@echo
	@echo "An input that does not say its sampling rate is refused, not guessed:"
	@printf 'I,II\n0.00,0.01\n0.02,0.03\n' > $(DEMO)/no-sampling-rate.csv
	@if $(BIN)/anyecg run $(DEMO)/no-sampling-rate.csv; then echo "... but it was accepted." >&2; exit 1; fi

test: lint ## lint, then every test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lint: $(READY) ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY) ## repair style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## remove what was built, cached or drawn
	rm -rf build dist $(DEMO) .pytest_cache .ruff_cache src/*.egg-info
	find benchmarks conversion dataset_scripts examples src tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

distclean: clean ## remove .venv too
	rm -rf $(VENV)
