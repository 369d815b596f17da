# `make help` lists what there is. STACK=dev is the default of each; AWS=emulated tries staging or prod on this machine.
STACK ?= dev
AWS ?= account
FORMAT ?= text
PYTHON ?= python3.11
VENV := .venv/.made-of-$(firstword $(shell cat requirements.lock app/pyproject.toml | sha256sum))
SCRIPTS := images/postgresql/start.sh .ci/run tests/bench/shell_claims.sh components/aws/node.sh
RUN := .venv/bin/python -m cli

.DEFAULT_GOAL := help
.PHONY: help up preview deploy drift down status logs alerts grafana trace backup restore token revoke comment doctor images docs lint unit policy integration e2e bench test test-all lock

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' Makefile

up: $(VENV) ## Deploy a stack: everything it needs is set up first
	@$(RUN) up --stack $(STACK) --aws $(AWS) --allow-delete "$(ALLOW_DELETE)"

preview: $(VENV) ## Show what `make up` would change
	@$(RUN) preview --stack $(STACK) --aws $(AWS) --format $(FORMAT) --allow-delete "$(ALLOW_DELETE)" $(if $(OUTPUT),--output $(OUTPUT)) $(if $(DRIFT),--drift) $(if $(PLAN),--plan $(PLAN))

deploy: $(VENV) ## Deploy, try it out, and put the services back if it does not do; PLAN=<file> is held to
	@$(RUN) deploy --stack $(STACK) --aws $(AWS) $(if $(PLAN),--plan $(PLAN))

drift: $(VENV) ## Tell in one issue what the previews in FOLDER found to have drifted
	@$(RUN) drift $(FOLDER)

down: $(VENV) ## Destroy a stack, with its data
	@$(RUN) down --stack $(STACK) --aws $(AWS)

status: $(VENV) ## Show a stack's services
	@$(RUN) status --stack $(STACK) --aws $(AWS)

logs: $(VENV) ## Show the last lines of a stack's logs (TAIL=, 50 of each service)
	@$(RUN) logs --stack $(STACK) --aws $(AWS) $(if $(TAIL),--tail $(TAIL))

alerts: $(VENV) ## Say what is wrong with a stack now, and what to do
	@$(RUN) alerts --stack $(STACK) --aws $(AWS)

grafana: $(VENV) ## Say where a stack's Grafana is, and its password
	@$(RUN) grafana --stack $(STACK) --aws $(AWS)

trace: $(VENV) ## Show what TRACE was made of, and its log lines
	@$(RUN) trace "$(TRACE)" --stack $(STACK) --aws $(AWS)

backup: $(VENV) ## Write a stack's store into a file (FILE=, or the folder of data)
	@$(RUN) backup --stack $(STACK) --aws $(AWS) $(if $(FILE),--file $(FILE))

restore: $(VENV) ## Make a stack's store what the backup FILE holds
	@$(RUN) restore "$(FILE)" --stack $(STACK) --aws $(AWS)

token: $(VENV) ## Make a token for NAME, of ROLE viewer, agent or operator
	@$(RUN) token "$(NAME)" "$(ROLE)" --stack $(STACK) --aws $(AWS)

revoke: $(VENV) ## End TOKEN, given whole or by its 32 digits
	@$(RUN) revoke "$(TOKEN)" --stack $(STACK) --aws $(AWS)

comment: $(VENV) ## Tell pull request NUMBER what the previews in FOLDER say
	@$(RUN) comment $(FOLDER) $(NUMBER)

doctor: $(VENV) ## Say whether what a stack has on AWS is healthy
	@$(RUN) doctor --stack $(STACK) --aws $(AWS)

images: $(VENV) ## Make the images that others are built on
	@$(RUN) images --stack $(STACK)

docs: $(VENV) ## Write the pages that are made from the code
	@$(RUN) docs

lint: $(VENV) ## Style, types, dependencies between modules, shell scripts, documents
	@mkdir -p build
	@.venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet . && echo "✓ ruff"
	@.venv/bin/mypy --no-error-summary && echo "✓ mypy"
	@.venv/bin/lint-imports --no-logo >build/imports.txt || { cat build/imports.txt; exit 1; }; echo "✓ import-linter"
	@.venv/bin/shellcheck -s sh $(SCRIPTS) && echo "✓ shellcheck"
	@go -C toolchain/actionlint tool actionlint -shellcheck $(CURDIR)/.venv/bin/shellcheck -pyflakes= $(CURDIR)/.github/workflows/*.yml && echo "✓ actionlint"
	@.venv/bin/zizmor --offline --quiet .github/workflows && echo "✓ zizmor"
	@.venv/bin/python -m pytest -q tests/unit/test_documents.py

unit: $(VENV) ## Tests that need nothing; measures how much of the coordinator they reach
	@rm -rf build/coverage && mkdir -p build/coverage
	@.venv/bin/python -m pytest -q -n auto --dist loadfile --cov --cov-report=term tests/unit

policy: $(VENV) ## Tests of the rules, on small fixtures
	@.venv/bin/python -m pytest -q tests/policy

integration: $(VENV) ## Tests on a real engine, which is started when it is missing, and then stopped again
	@$(RUN) with-engine .venv/bin/python -m pytest -q tests/integration

e2e: $(VENV) ## Tests in a real browser, installed when it is missing, and on five engines in network namespaces
	@$(RUN) with-engine .venv/bin/python -m pytest -q tests/e2e

bench: $(VENV) ## Measure, side by side, and write build/bench.json
	@$(RUN) with-engine .venv/bin/python -m pytest -q -s -o python_files='bench_*.py' tests/bench

test: lint unit policy e2e integration ## All tests

test-all: export BEAMOPS_TESTS := all
test-all: test ## All tests, a thousand agents for minutes where `make test` has a hundred

lock: ## Resolve requirements.lock and app/requirements.lock anew
	@$(RUN) lock

$(VENV):
	@command -v $(PYTHON) >/dev/null || { echo "beamops: $(PYTHON) is not on PATH; install Python 3.11" >&2; exit 1; }
	@echo "· Virtual environment, from requirements.lock …"
	@begin=$$(date +%s); rm -f .venv/.made-of-*; $(PYTHON) -m venv .venv \
	 && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
	 && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable app \
	 && touch $@ && echo "✓ Virtual environment ($$(( $$(date +%s) - begin )) s)"
