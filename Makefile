# `make help` lists what one can do.
SHELL := /bin/bash
# the first Python that has what a virtual environment needs
PYTHON ?= $(shell for v in 3.11 3.12 3.13 3.14; do python$$v -c 'import ensurepip, venv' 2>/dev/null && echo python$$v && exit; done; python3 -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null && echo python3)
VENV := .venv
BIN := $(VENV)/bin
ENV ?=
WITH_ENV := $(if $(ENV),--env=$(ENV))
# What these say is taken as it stands: `$$`, commas and quotes are make's and Kedro's else.
override CONCEPT := $(value CONCEPT)
override REQUIREMENTS := $(value REQUIREMENTS)
override VISION := $(value VISION)
export CONCEPT
export PO_REQUIREMENTS := $(REQUIREMENTS)
# the vision of the last run is the next one's existing vision; VISION=none: there is none
LAST_VISION := $(firstword $(wildcard planning/existing_vision.yaml planning/product_vision.yaml))
export PO_VISION := $(if $(filter none,$(VISION)),,$(if $(VISION),$(VISION),$(if $(filter po,$(MAKECMDGOALS)),$(LAST_VISION))))
export DO_NOT_TRACK := true
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help install lock run demo po viz viz-build docs test test-docs npm test-servers test-integrations test-browser test-exhaustive check format clean

help:  ## list what one can do
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1|/' | column -t -s '|'

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || command -v $(firstword $(PYTHON) none) >/dev/null || { echo "make: there is no Python 3.11 to 3.14 with venv here. Install one (Debian: apt install python3-venv), or name it: make PYTHON=/path/to/python3 ..."; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip  # a new one takes half of the processor time of Python 3.11's
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

install: $(VENV)/.installed  ## install into .venv

# Pins that still hold stay; MLflow, which holds others back, is left out. `pip install --require-hashes --no-deps -r requirements.txt`.
UV_COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --no-annotate --quiet
lock:  ## pin the dependencies for Python 3.11 to 3.14, with hashes (needs uv)
	$(UV_COMPILE) $(addprefix --extra=,dev docs) --no-header --output-file constraints.txt
	$(UV_COMPILE) $(addprefix --extra=,viz embedded dask hub vertex) --constraint constraints.txt --generate-hashes --custom-compile-command "make lock" --output-file requirements.txt

run: install  ## run the whole pipeline (ENV=ollama for another model)
	$(BIN)/kedro run $(WITH_ENV)

demo: install  ## let a small LM learn to fill in forms: 5 minutes, a promoted program
	$(BIN)/kedro run --params=role=return_form

# A document that was named must be there; the default one may be missing.
po: install  ## run the Product Owner: CONCEPT="..." or REQUIREMENTS=file.yaml [VISION=file.yaml or none]
	@test -n "$$PO_REQUIREMENTS$$CONCEPT" -o -f planning/requirements.yaml || { echo 'make po: give CONCEPT="what the product is" or REQUIREMENTS=path/to/requirements.yaml, or write planning/requirements.yaml'; exit 2; }
	$(BIN)/kedro run --pipeline=integrate $(WITH_ENV) $(if $(REQUIREMENTS),,--params=requirements=planning/requirements.yaml,requirements_optional=true)

viz: install  ## look at the pipeline and its results in a browser
	$(BIN)/kedro viz run --include-hooks $(WITH_ENV)

viz-build: install  ## write that page into build/, without local paths
	KEDRO_ENV=$(ENV) $(BIN)/kedro viz build --include-hooks --include-previews
	$(BIN)/python scripts/scrub_viz.py

test: install  ## all tests, offline, in about 10 minutes
	$(BIN)/python -m pytest -m "not exhaustive and not live and not browser and not servers and not docs and not integrations" --numprocesses 2 --dist loadfile --cov --cov-report=term --quiet

npm:
	@command -v npm >/dev/null || { echo "make: there is no npm here. Install Node.js 22 or later: https://nodejs.org"; exit 1; }

test-servers: install npm  ## whole runs on LM servers, also others' (npm); commands of the README
	npm install --no-audit --no-fund --no-save --silent --prefix tests/servers/aimock @copilotkit/aimock@1.43.0
	$(BIN)/python -m pytest -m servers tests/servers tests/roles --numprocesses 2 --dist loadfile --quiet

test-docs: install  ## type every command of the guides and the reference
	$(BIN)/python -m pytest -m docs tests/servers --numprocesses 2 --dist loadfile --quiet

TOOLS := tests/integrations/tools
test-integrations: install npm  ## exports and tracking in the tools they are for (npm, PyPI)
	npm install --no-audit --no-fund --no-save --silent --prefix $(TOOLS) promptfoo@0.121.20
	test -x $(TOOLS)/inspect/bin/inspect || { $(BIN)/python -m venv $(TOOLS)/inspect && $(TOOLS)/inspect/bin/python -m pip install --quiet inspect-ai==0.3.285 'openai>=3.4'; }
	$(BIN)/python -m pip install --quiet --editable '.[mlflow,otel]' langfuse==5.0.4
	test -d $(TOOLS)/kedro_mlflow || $(BIN)/python -m pip install --quiet --no-deps --target $(TOOLS)/kedro_mlflow kedro-mlflow==2.0.3  # elsewhere: Kedro loads every plugin
	$(BIN)/python -m pytest -m integrations tests/integrations --numprocesses 2 --dist loadfile --quiet

test-live: install  ## ask the real model of ENV=ollama, vertex, ... one example
	PO_LIVE_ENV=$(or $(ENV),base) $(BIN)/python -m pytest tests/test_live.py --quiet

test-exhaustive: install  ## the many-round tests behind docs/guarantees.md
	$(BIN)/python -m pytest -m exhaustive --quiet

test-browser: install  ## look at the built page with a headless browser (Debian)
	@command -v chromedriver >/dev/null || { apt-get update && apt-get install --yes chromium chromium-driver; }
	$(BIN)/python -m pytest -m browser --quiet

docs: install  ## build the documentation into build/docs
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python scripts/parameters_table.py build/parameters_table.md
	$(BIN)/zensical build --strict --clean
	@! grep -rnoE '<(script|link|img)[^>]+(src|href)="?https?:[^">]+' build/docs --include='*.html'  # from disk, too

check: install  ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:  ## remove what runs made; stored programs and answers stay
	rm -rf .coverage* .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist
