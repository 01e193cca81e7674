# rlsif: `make` alone prints what there is to make.
SHELL := /bin/bash
.DEFAULT_GOAL := help
HOST := .venv/bin/python
DEV := .venv-dev/bin/python
# Tests that run side by side; most of the time they wait.
WORKERS := 4
# What failed beside others is tried once more alone, and said to be so; where that passes, load or a race decided it.
ALONE = { [ $$? = 1 ] && echo "Once more, one after the other, what has failed:" && $(DEV) -m pytest --last-failed --last-failed-no-failures=none --maxfail=1; }
export EXTRAS TENSORFLOW REQUIREMENTS ENVIRONMENT APT WHEELHOUSE NAME

.PHONY: help
help:  ## print this
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: demo
demo: image-cpu  ## set everything up and train CartPole-v1 to a mean return of 475
	"$$($(HOST) -m rlsif.commands.images ensure-apptainer 2>/dev/null)" exec rl.sif train --env CartPole-v1 --stop-reward 475

.PHONY: image-cpu
image-cpu: host  ## build rl.sif; EXTRAS, REQUIREMENTS, APT, NAME: see docs/images.md
	@$(HOST) -m rlsif.commands.images build cpu

.PHONY: image-gpu
image-gpu: host  ## build rl-gpu.sif
	@$(HOST) -m rlsif.commands.images build gpu

.PHONY: images
images: host  ## build both images
	@$(HOST) -m rlsif.commands.images build cpu gpu

.PHONY: test
test: dev  ## set the tests up, build the image and run them all
	@$(DEV) -m pytest --numprocesses=$(WORKERS) --build-image || $(ALONE)

.PHONY: doctor
doctor:  ## say what is right and wrong on this machine, and how to fix it
	@slurm/rl doctor

.PHONY: lint
lint: dev  ## run ruff, mypy, shellcheck, import-linter and the tests of what a room may import
	@$(DEV) -m pytest -q tests/unit/test_style.py tests/unit/test_rooms.py

.PHONY: bench
bench: image-cpu dev  ## measure image, start-up and training beside others; writes bench/results
	@containers/host-venv.sh bench/.venv-peers bench/peers/peers.lock 3.11
	@$(DEV) -m bench

.PHONY: bench-off-policy
bench-off-policy: image-cpu dev  ## measure DQN and SAC beside Stable-Baselines3 and SBX
	@containers/host-venv.sh bench/.venv-off-policy bench/peers/off_policy.lock 3.11
	@$(DEV) -m bench.off_policy

.PHONY: bench-returns
bench-returns: image-cpu dev  ## train with the presets, and hold the returns against published ones; writes docs/results.md
	@$(MAKE) image-cpu EXTRAS=atari,box2d,envpool,minigrid,mujoco,pettingzoo,robotics NAME=extras
	@$(DEV) -m bench.returns

.PHONY: bench-cluster
bench-cluster: image-cpu dev  ## measure how long a cluster takes to come up, on a Slurm made for it; needs root
	@$(DEV) -m bench.cluster

.PHONY: bench-environments
bench-environments: dev  ## measure environments of the extras beside plain loops and Stable-Baselines3
	@$(MAKE) image-cpu EXTRAS=atari,mujoco,pettingzoo NAME=bench-extras
	@containers/host-venv.sh bench/.venv-off-policy bench/peers/off_policy.lock 3.11
	@$(DEV) -m bench.environments

.PHONY: bench-versions
bench-versions: image-cpu dev  ## measure the checkout BEFORE, with its own rl.sif, beside this one
	@$(DEV) -m bench.versions "$(BEFORE)"

.PHONY: bench-node-death
bench-node-death: image-cpu dev  ## measure what the death of a rollout node costs a run, on a Slurm made for it; needs root
	@$(DEV) -m bench.node_death

.PHONY: docs
docs: dev  ## write docs/reference.md from the commands
	@$(DEV) -m rlsif.commands.reference

.PHONY: lock
lock: dev  ## compile the lock files anew
	@PATH="$(CURDIR)/.venv-dev/bin:$$PATH" containers/requirements/lock.sh

.PHONY: host dev
host:
	@containers/host-venv.sh .venv containers/requirements/host.lock 3.9
dev:
	@containers/host-venv.sh .venv-dev containers/requirements/dev.lock 3.11
