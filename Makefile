# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes all tests.
# Both set up what they need; `make PYTHON=/path/to/python3.12 ...` chooses the Python.

SHELL := /bin/sh
PYTHON ?=
export PYTHON
BASE := tools/python
RUN := .venv/bin
DEMO := .demo

.PHONY: help setup setup-demo test quick test-newest check nightly demo bench docs texts lock upgrade sbom clean

help:
	@echo "make demo     set up, make a synthetic municipality's files and run the main job against the sandbox"
	@echo "make test     set up, then linters, types, layers and all tests: what CI runs"
	@echo "make quick    set up, then linters, types, layers and the fast tests: for the edit loop, under 90 seconds"
	@echo "make test-newest  set up, then the fast tests on Python 3.13 and 3.14, from Debian 13 and testing in folders of their own"
	@echo "make check    set up, then the linters, types and layers alone"
	@echo "make nightly  set up, then the long proofs: an hour or two; SCALE=0.05 for a twentieth of each; writes docs/nightly.json"
	@echo "make bench    set up, then measure against openssl, lxml and a bare proton; writes bench.json"
	@echo "make docs     write the generated pages of docs/ anew"
	@echo "make texts    write the Norwegian catalogues anew from the code, and say what is not translated"
	@echo "make setup    set up and nothing else"
	@echo "make lock     write the lock files from pyproject.toml; make upgrade takes the newest versions"
	@echo "make sbom     write kpr-sender.cdx.json (CycloneDX) from requirements-runtime.lock"
	@echo "make clean    remove .venv, .cache, .demo and .hypothesis"

setup:
	@$(BASE) -m tools.setup tests

setup-demo:
	@$(BASE) -m tools.setup

test: setup
	@$(RUN)/python -m tools.verify test

quick: setup-demo
	@$(RUN)/python -m tools.verify quick

test-newest: setup-demo
	@$(RUN)/python -m tools.newest

check: setup-demo
	@$(RUN)/python -m tools.verify check

# The long proofs (docs/guarantees.md). SCALE multiplies every count, for a night that is short.
SCALE ?= 1
nightly: setup
	@KPR_NIGHTLY_SCALE=$(SCALE) $(RUN)/python -m tools.verify nightly

# The sample is made once: the same files again are the same submission, which is what a second run shows.
demo: setup-demo
	@test -e $(DEMO)/fagmelding.xml -a -e $(DEMO)/identmelding.xml || \
	  $(RUN)/kpr-send sample $(DEMO) --persons 200 --year 2024 --seed 1
	@$(RUN)/kpr-send --env lokal

bench: setup
	@$(RUN)/python -m bench $(BENCH)

docs: setup-demo
	@set -e; for page in docs/make_*.py; do echo "$$page"; $(RUN)/python "$$page"; done

texts: setup-demo
	@$(RUN)/python -m tools.texts

lock:
	@$(BASE) -m tools.lock

upgrade:
	@$(BASE) -m tools.lock --upgrade

sbom:
	@$(BASE) -m tools.sbom

clean:
	rm -rf .venv .cache .demo .hypothesis
