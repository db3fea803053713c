# Two commands on a fresh machine: `make demo` runs the main job, `make test` passes all tests.
# Both set up what they need; `make PYTHON=/path/to/python3.12 ...` chooses the Python.

SHELL := /bin/sh
PYTHON ?=
export PYTHON
BASE := tools/python
RUN := .venv/bin
# make demo TRANSPORT=edi: the sandbox's own folder for each transport
TRANSPORT ?= amqp
DEMO := .demo$(if $(filter edi,$(TRANSPORT)),-edi)

.PHONY: help setup setup-demo test quick test-newest test-offline check nightly demo demo-fleet bench docs texts site dist offline lock upgrade sbom clean

help:
	@echo "make demo     set up, make a synthetic municipality's files and run the main job against the sandbox; TRANSPORT=edi over e-mail"
	@echo "make demo-fleet  set up, then run 12 municipalities over an own PostgreSQL and the sandbox, with two workers and the page"
	@echo "make test     set up, then linters, types, layers and all tests: what CI runs"
	@echo "make quick    set up, then linters, types, layers and the fast tests: for the edit loop, under 90 seconds"
	@echo "make test-newest  set up, then the fast tests on Python 3.13 and 3.14, from Debian 13 and testing in folders of their own"
	@echo "make check    set up, then the linters, types and layers alone"
	@echo "make nightly  set up, then the long proofs: an hour or two; SCALE=0.05 for a twentieth of each; writes docs/nightly.json"
	@echo "make bench    set up, then measure against openssl, lxml and a bare proton; writes bench.json"
	@echo "make docs     write the generated pages of docs/ anew"
	@echo "make texts    write the Norwegian catalogues anew from the code, and say what is not translated"
	@echo "make setup    set up and nothing else"
	@echo "make site     set up, then write the documentation as a site to .cache/site/html"
	@echo "make dist     set up, then build wheel and sdist into dist/: the same bytes every time"
	@echo "make offline  set up, then make the archives for machines without internet in dist/: two minutes the first time"
	@echo "make test-offline  set up, then install the one for Linux on bare Pythons without a network: some minutes"
	@echo "make lock     write the lock files from pyproject.toml; make upgrade takes the newest versions"
	@echo "make sbom     write kpr-sender.cdx.json (CycloneDX) from requirements-runtime.lock"
	@echo "make clean    remove .venv, .cache, .demo, .hypothesis and dist"

setup:
	@$(BASE) -m tools.setup tests
	@$(RUN)/python -m tools.texts compile

setup-demo:
	@$(BASE) -m tools.setup
	@$(RUN)/python -m tools.texts compile

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

demo: setup-demo
	@$(RUN)/kpr-send demo --dir $(DEMO) --transport $(TRANSPORT)

demo-fleet: setup-demo
	@$(RUN)/python -m tools.demo_fleet

bench: setup
	@$(RUN)/python -m bench $(BENCH)

docs: setup-demo
	@set -e; for page in docs/make_*.py; do echo "$$page"; $(RUN)/python "$$page"; done

texts: setup-demo
	@$(RUN)/python -m tools.texts

site: setup-demo
	@$(RUN)/python -m tools.site

dist: setup-demo
	@$(RUN)/python -m tools.dist

offline: setup-demo
	@$(RUN)/python -m tools.offline

test-offline: setup-demo
	@$(RUN)/pytest --nightly -m nightly -q tests/packaging/test_offline_install.py tests/packaging/test_offline_script.py

lock:
	@$(BASE) -m tools.lock

upgrade:
	@$(BASE) -m tools.lock --upgrade

sbom:
	@$(BASE) -m tools.sbom

clean:
	rm -rf .venv .cache .demo .demo-edi .hypothesis dist
