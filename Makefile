# Every command there is; `make help` lists them. All but help bring the machine up to date first (tools/setup.sh).
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

HOSTS ?= 6
VERSION ?= $(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' tcmicro_agent/version.py)
KEY ?= .keys/release.key.pem
EVERY_CORE := --numprocesses=auto --dist=loadfile
LAB := ansible-playbook playbooks/lab.yml -i localhost,
VMS := ansible-playbook playbooks/lab_vm.yml -i localhost,

export PATH := $(CURDIR)/.venv/bin:$(PATH):/usr/sbin:/sbin
export LC_ALL := C.UTF-8

.PHONY: $(shell sed -n 's/^\([a-z0-9-]*\):.*\#\# .*/\1/p' $(MAKEFILE_LIST))

help: ## List every command
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Molecule removes nothing of a run that was interrupted: $(call then_remove,COMMAND) does, however the recipe ends.
then_remove = trap '$(1) >/dev/null' EXIT

# no command, but what some commands need
.PHONY: needs-root
needs-root:
	@test "$$(id -u)" = 0 || { echo "$(MAKE): this needs root, you are $$(id -un): run it with sudo" >&2; exit 1; }

setup: ## Install what is missing: Debian packages and the pinned Python environment in .venv
	@tools/setup.sh

demo: needs-root setup ## Show the main job on a lab of 6 hosts, from nothing to protected and back (KEEP=1 leaves the lab up)
	@python -m tools.demo $(if $(KEEP),--keep)

test: needs-root check sanity docs artifact ## Run every test but test-kernels, test-trace and test-python39 (root; over an hour)
	pytest $(EVERY_CORE) tests/datapath --junit-xml=build/junit-datapath.xml
	pytest $(EVERY_CORE) tests/rollout --junit-xml=build/junit-rollout.xml
	pytest $(EVERY_CORE) tests/awx --junit-xml=build/junit-awx.xml
	pytest tests/collection --junit-xml=build/junit-collection.xml
	molecule test
	pytest tests/fleet --junit-xml=build/junit-fleet.xml

test-kernels: needs-root setup bpf ## Boot stock kernels 5.10, 6.1, 6.12 and run the datapath tests there (KERNEL=5.10, ACCEPT=1)
	@python -m tools.kernels $(if $(KERNEL),--kernel $(KERNEL)) $(if $(ACCEPT),--accept)

test-trace: needs-root setup bpf ## Boot the same kernels with their headers and bcc, and trace flows and drops there (KERNEL=5.10)
	@python -m tools.kernels --trace $(if $(KERNEL),--kernel $(KERNEL))

test-python39: needs-root setup ## Run the unit tests of agent and modules with the Python 3.9 of a Debian 11 (three minutes)
	@python -m tools.python39
molecule-lab: needs-root setup bpf ## Run changes, canaries, rollbacks, boots, mixed releases of Debian and a fleet of HOSTS=40 on the lab
	$(call then_remove,$(LAB) -e lab_state=absent); \
	molecule test $(foreach name,policy_change canary rollback reboot mixed scale,--scenario-name $(name))

molecule-vm: needs-root setup bpf ## Run the main job, boots and power cuts on virtual machines with kernels 5.10, 6.1 and 6.12
	$(call then_remove,$(VMS) -e vm_state=absent); \
	molecule test --scenario-name vm --scenario-name vm_floor || { tail -n 5 .vms/consoles/*.log 2>/dev/null; exit 1; }

check: setup bpf ## Check format, lint, types, layers, playbooks and unit tests (four minutes)
	ruff format --check --quiet . || { echo "check: run 'make format'" >&2; exit 1; }
	ruff check --quiet .
	mypy
	tools/lint_content.sh
	pytest $(EVERY_CORE) --junit-xml=build/junit-unit.xml

sanity: setup ## Check the collection by ansible-test, and run its unit tests by it (two or three minutes)
	python -m tools.collection.sanity
	python -m tools.collection.units

docs: setup ## Make the documentation as a site: build/site/index.html
	@python -m tools.site

tutorial: needs-root setup ## Type every command of docs/tutorial.md, from a clean clone of the last commit (six minutes)
	@python -m tools.tutorial

format: setup ## Format the Python code, sort its imports, write the generated pages of docs/ and the dashboards anew
	ruff check --quiet --fix-only .
	ruff format .
	python -m tools.reasons
	python -m tools.errors
	python -m tools.policy_schema
	python -m tools.metrics
	python -m tools.logs
	python -m tools.dashboards

keys: setup ## Make the keys that sign the lab's releases and policies, in .keys (docs/signing.md)
	@python -m tools.keys

artifact: setup keys ## Build and sign build/tcmicro-VERSION-ARCH.tar.gz, what a fleet host gets (VERSION=x.y.z, KEY=file)
	@python -m tools.artifact --version $(VERSION) $(if $(KEY),--key $(KEY))

collection: setup ## Build build/tcmicro-fleet-VERSION.tar.gz, the collection with roles and playbooks (VERSION=x.y.z)
	@python -m tools.collection --version $(VERSION)

bpf: setup ## Compile the kernel programs to build/tcmicro.bpf.o
	@python -m tools.compile_bpf

lab-up: needs-root setup ## Boot the lab, a fleet of Debian hosts on this machine (HOSTS=6)
	$(LAB) -e lab_state=present -e lab_hosts=$(HOSTS)

lab-down: needs-root setup ## Stop the lab and remove everything it recorded but its cached root tree
	$(LAB) -e lab_state=absent

lab-status: needs-root setup ## Say which lab hosts run and how to reach them
	$(LAB) -e lab_state=status

pictures: needs-root setup ## Draw docs/pictures from the Prometheus of a lab that is up, after some minutes of traffic (docs/monitoring.md)
	@python -m tools.pictures

bench: needs-root setup bpf ## Measure against nothing, nftables and iptables: build/bench.json (10 minutes; QUICK=1: 2)
	@PYTHONPATH=collections python -m tests.bench

bench-rollout: setup ## How often the gates of a rollout are right and wrong, over simulated fleets (QUICK=1: fewer)
	@PYTHONPATH=.:collections python -m tests.bench_rollout

bench-fleet: needs-root setup ## What a policy push and a wave cost, in pings, on a lab with the agent: build/bench-fleet.json (HOSTS=40)
	@PYTHONPATH=.:collections python -m tests.bench_fleet $(if $(filter file,$(origin HOSTS)),,--hosts $(HOSTS))

bench-drills: needs-root setup ## Every drill once, and all hosts cut off at once, on a lab with the agent: build/bench-drills.json (25 minutes; FAULTS=none: the latter alone)
	@PYTHONPATH=.:collections python -m tests.bench_drills $(if $(FAULTS),--faults $(FAULTS))
bench-scale: needs-root setup ## What one more host costs the controller: build/bench-scale.json (LAB_SIZES=10,20,40, FAKES=125,250,500; 0: none)
	@PYTHONPATH=.:collections python -m tests.bench_scale $(if $(LAB_SIZES),--lab $(LAB_SIZES)) $(if $(FAKES),--fakes $(FAKES))

lock: ## Pin the newest dependencies that requirements/*.in allow, with hashes
	@tools/lock.sh

clean: ## Remove what was built and the environment; the lab stays
	rm -rf build .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .ansible

clean-lab: lab-down ## Remove the lab with its cached root tree
	rm -rf .lab

clean-kernels: ## Remove the fetched kernels; the next test-kernels takes the newest
	rm -rf .kernels

clean-python39: ## Remove the tree of Debian 11; the next test-python39 makes one
	rm -rf .python39

clean-vms: needs-root setup ## Remove the virtual machines with their cached images
	$(VMS) -e vm_state=absent
	rm -rf .vms
