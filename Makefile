# `make help` lists what there is. STACK=dev is the default of each.
STACK ?= dev
PYTHON ?= python3.11
VENV := .venv/.made-of-$(firstword $(shell cat requirements.lock app/pyproject.toml | sha256sum))
RUN := .venv/bin/python -m cli

.DEFAULT_GOAL := help
.PHONY: help up preview down status logs images

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

up: $(VENV) ## Deploy a stack: everything it needs is set up first
	@$(RUN) up --stack $(STACK)

preview: $(VENV) ## Show what `make up` would change
	@$(RUN) preview --stack $(STACK)

down: $(VENV) ## Destroy a stack, with its data
	@$(RUN) down --stack $(STACK)

status: $(VENV) ## Show a stack's services
	@$(RUN) status --stack $(STACK)

logs: $(VENV) ## Show the last lines of a stack's logs
	@$(RUN) logs --stack $(STACK)

images: $(VENV) ## Make the images that others are built on
	@$(RUN) images --stack $(STACK)

$(VENV):
	@command -v $(PYTHON) >/dev/null || { echo "beamops: $(PYTHON) is not on PATH; install Python 3.11" >&2; exit 1; }
	@echo "· Virtual environment, from requirements.lock …"
	@begin=$$(date +%s); rm -f .venv/.made-of-*; $(PYTHON) -m venv .venv \
	 && .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock \
	 && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable app \
	 && touch $@ && echo "✓ Virtual environment ($$(( $$(date +%s) - begin )) s)"
