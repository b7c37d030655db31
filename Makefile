# Everything happens in .venv; the stamp makes `setup` idempotent. `make PYTHON=python3.12 demo` chooses another Python.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Two cores are the smallest machine this is made for; more threads per process only get in each other's way.
export MLFLOW_DISABLE_TELEMETRY := true
export NO_MKDOCS_2_WARNING := 1

.PHONY: setup demo test quick lint unit docs long-recording kernels-offline ranks-long encoders slurm slurm-long slurm-night slurm-matrix clean chaos corrupt torture grid-coding \
	faults versions lock audit gpu gpu-wheels

# TORCH=cu130 (CUDA 13), cu126 (CUDA 12.6: V100, drivers before 580) or cpu is the build of torch; the word is remembered.
# Without one it is what pip takes on this machine. `dual-hpc doctor` says which one this GPU and driver need.
TORCH ?= $(shell cat $(VENV)/.torch 2>/dev/null)
ifneq ($(strip $(TORCH)),$(strip $(shell cat $(VENV)/.torch 2>/dev/null)))
.PHONY: $(STAMP)
endif

setup: $(STAMP)

# constraints.txt pins every package to the version that was tested, requirements/*.txt to the hashes of its files;
# `pip install .` takes the newest that fit. HASHES=no: the same versions, of a build whose hashes are not known.
$(STAMP): pyproject.toml constraints.txt $(wildcard requirements/*.txt)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m requirements.install $(if $(TORCH),--torch $(TORCH)) $(if $(filter no,$(HASHES)),--no-hashes)
	$(if $(TORCH),echo $(TORCH) >$(VENV)/.torch)
	touch $@

demo: $(STAMP)
	$(BIN)/python -m launch.demo --out demo

test: $(STAMP) lint docs unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(addprefix -p ,dual_hpc launch shards slurm tests requirements)

# What one runs between two edits: under three minutes on two cores. QUICK=tests/kernels is another folder's share.
QUICK := tests/unit
quick: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile -m "not distributed and not slurm and not slow" $(QUICK)

# Half an hour of generated speech, answered window by window.
long-recording: $(STAMP)
	DUAL_LONG_RECORDING=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/unit/inference/test_long_recording.py

# On two processes: what only computes, then what starts ranks, which waits for most of its time. What uses the one cluster
# runs alone, and so does what needs a GPU: everything else sees none.
unit: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --max-worker-restart 0 -m "not distributed and not slurm"
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --max-worker-restart 0 -m "distributed and not slurm and not slow"
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m "slurm and not slow"
	$(BIN)/pytest -q -m gpu tests/kernels tests/unit/data

# The documentation, in site/; a warning is an error.
docs: $(STAMP)
	$(BIN)/mkdocs build --strict --quiet

# Every kernel, width and precision for sm_80, sm_90 and sm_100; the suite compiles the hardest.
kernels-offline: $(STAMP)
	DUAL_EVERY_KERNEL=1 $(BIN)/pytest -q tests/kernels/test_offline_compilation.py

# On a real Slurm that this starts and stops; slurm-long brings about what takes minutes: time limits, every end of `why`.
slurm slurm-long: $(STAMP)
	slurm/devcluster/up
	trap slurm/devcluster/down EXIT; . $${TMPDIR:-/tmp}/devcluster/env && DUAL_REQUIRE_SLURM=1 OMP_NUM_THREADS=1 \
		$(BIN)/pytest -q -m "slurm and $(if $(filter slurm-long,$@),slow,not slow)" tests/slurm

# Every kind of encoder trained under ZeRO 1, 2 and 3, exported, asked and used to extract: a table, in minutes.
encoders: $(STAMP)
	$(BIN)/python -m benchmarks.encoders

# What takes minutes with ranks, servers and processes that are killed, without Slurm.
ranks-long: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -m "distributed and slow" tests/distributed

# Preemption under both process trackers, at Slurm's default signals and with preempt_send_user_signal.
slurm-matrix: $(STAMP)
	for options in "cgroup 0" "cgroup 1" "linuxproc 0" "linuxproc 1"; do set -- $$options; \
		slurm/devcluster/up PROCTRACK=$$1 SEND_USR=$$2 && . $${TMPDIR:-/tmp}/devcluster/env && \
		DUAL_REQUIRE_SLURM=1 OMP_NUM_THREADS=1 $(BIN)/pytest -q tests/slurm -m "not slow" -k preempted; code=$$?; \
		slurm/devcluster/down; [ $$code = 0 ] || exit $$code; done

# Beeps and numbered pictures in every container, codec, layout, offset and gap that PyAV writes; minutes.
torture: $(STAMP)
	$(BIN)/python -m tests.media.torture

# Drawn clips coded as packing does: what the fast path takes is what a full decode shows; bytes and errors beside the
# coding of earlier shards. Kept in grid-coding.jsonl; started again, it goes on.
grid-coding: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.media.grid_coding --clips $(or $(N),10000) --first $(or $(FIRST),0)

# Files of every kind that the product reads, damaged in every way: refused in a line, without waiting, none believed.
corrupt: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.corruption.sweep --cases $(or $(N),2000)

# A fault of the disk at every call of a run's life, a pack, an extraction, an evaluation; KINDS=all tries every kind at each.
faults: $(STAMP)
	FAULTS_EVERY=$(or $(EVERY),1) FAULTS_KINDS=$(or $(KINDS),one) OMP_NUM_THREADS=1 \
		$(BIN)/pytest -q -s --timeout 0 tests/faults

# A night of a busy cluster in miniature: what happens to runs, and that they finish as if nothing had; `SEED=2 STEPS=60`.
slurm-night: $(STAMP)
	slurm/devcluster/up
	trap slurm/devcluster/down EXIT; . $${TMPDIR:-/tmp}/devcluster/env && OMP_NUM_THREADS=1 $(BIN)/python \
		-m tests.night.night --seed $(or $(SEED),1) --steps $(or $(STEPS),40) --minutes $(or $(MINUTES),40)

bench-%: $(STAMP)
	$(BIN)/python -m benchmarks.$*

# What only a GPU can show, in ten minutes: make gpu SHARDS=DIR [FEATURES=DIR]; DEVICE=cpu rehearses it. See the script.
gpu:
	bash benchmarks/gpu.sh $(or $(SHARDS),$(error make gpu SHARDS=DIR: a folder of media shards)) $(FEATURES)

# What a machine without network lacks beside torch, as wheels in gpu-wheels: make gpu-wheels FOR=3.12, then WHEELS=DIR.
FOR ?= 3.12
gpu-wheels: $(STAMP)
	mkdir -p gpu-wheels
	for package in pydantic pydantic_core annotated-types typing-inspection soundfile cffi pycparser av; do \
		$(BIN)/python -m pip download --quiet --no-deps --only-binary :all: --python-version $(FOR) --dest gpu-wheels \
			--constraint constraints.txt $$package || exit 1; done
	DS_BUILD_OPS=0 $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir gpu-wheels \
		--constraint constraints.txt deepspeed hjson

chaos: $(STAMP)
	$(BIN)/python -m benchmarks.chaos --kills $(or $(N),20)

# Installs and tries every Python that is advertised and that `python3.X` finds: minutes and gigabytes for each.
versions:
	$(PYTHON) -m requirements.versions

# After a change of constraints.txt: the hashes that the registry has of each version.
lock: $(VENV)/tools/.installed
	$(VENV)/tools/bin/python -m requirements.lock

# Known advisories of the pinned versions; fails as well where they cannot be read.
audit: $(VENV)/tools/.installed
	$(VENV)/tools/bin/python -m requirements.audit

$(VENV)/tools/.installed: requirements/tools.txt
	$(PYTHON) -m venv $(VENV)/tools
	$(VENV)/tools/bin/python -m pip install --quiet --no-deps --require-hashes --requirement requirements/tools.txt
	touch $@

clean:
	rm -rf demo site .pytest_cache .mypy_cache .ruff_cache .hypothesis
