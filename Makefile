# The front door. `make` lists what it can do; docs/HACKING.md has the details.
.DEFAULT_GOAL := help
.PHONY: help setup run flaky test soak bench bench-supervise bench-backup bench-protect fuzz mutants install install-daemon deb clean tidy
export PREFIX ?= /usr/local
export FUZZ_SECONDS ?= 60
SOAK_SEEDS ?= 1..100000

help:  ## This list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

setup:  ## Install missing Debian packages (root), or print the line that does
	@tools/setup

run: setup  ## recoverd on four real services, shown live; the README says what to break
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target recoverd recoverctl -- --quiet
	@examples/quickstart/run

flaky: setup  ## librecover: a client survives a flaky server, drawn live in the terminal
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target flaky -- --quiet
	@build/release/examples/flaky

test: setup  ## Everything CI checks (.ci/run), stage by stage
	@tools/check

soak: setup  ## The long campaigns: kill -9, power loss, the simulator, mutants (hours)
	@cmake --preset dev >/dev/null
	@cmake --build --preset dev --target journal_test adapters_checkpoint_test backup_test recoverd recoverctl -- --quiet
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target recoverd -- --quiet
	@RECOVER_CRASH_ROUNDS=1000 build/dev/journal_test --gtest_filter='*Crash*'
	@RECOVER_CRASH_ROUNDS=200 build/dev/adapters_checkpoint_test --gtest_filter='*Kill*'
	@RECOVER_CRASH_ROUNDS=300 RECOVER_EXCHANGE_TREES=5000 RECOVER_FEED_TREES=1000 build/dev/backup_test \
	  --gtest_filter='*Crashes*:*Kills*:*Exchanges*:*MemoryBound*:*Feeds.TheSnapshot*'
	@RECOVER_FAULT_STRIDE=1 build/dev/backup_test --gtest_filter='*WorkSweep*'
	@RECOVERD_BIN=$(CURDIR)/build/dev RECOVERD_KILLS=200 RECOVERD_SERVICES=1000 RECOVERD_ENGINE_KILLS=100 \
	  python3 -B test/acceptance/crashes.py
	@RECOVERD_BIN=$(CURDIR)/build/dev RECOVERD_DRILL_KILLS=1 python3 -B test/acceptance/backup_drills.py
	@python3 tools/sim_hashes.py
	@build/release/recoverd sim --seeds $(SOAK_SEEDS)
	@python3 tools/mutants.py

bench: setup  ## Medians of 5 repetitions; instructions; threads beside a bare counter
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target bench_recover bench_figures bench_restart bench_probed recoverd -- --quiet
	@build/release/bench_recover --benchmark_repetitions=5 --benchmark_report_aggregates_only=true \
	  --benchmark_counters_tabular=true $(BENCH_ARGS)
	@build/release/bench_figures
	@build/release/bench_restart build/release/recoverd
	@build/release/bench_probed build/release/recoverd
	@python3 -B test/bench/sim.py build/release/recoverd

bench-supervise: setup  ## recoverd with 1, 100, 1000 services beside its peers and the machine's own limit
	@tools/setup runit s6
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target bench_restart recoverd -- --quiet
	@python3 -B test/bench/supervise.py build/release/recoverd build/release/bench_restart

bench-backup: setup  ## recoverctl's backups beside restic's and borg's; SCALE=1 for the full corpora
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target bench_corpus bench_checkpoint recoverd_backup recoverctl -- --quiet
	@build/release/bench_checkpoint build/release/recoverd-backup
	@python3 -B test/bench/backup.py build/release/recoverctl build/release/bench_corpus $(CORPORA)

fuzz: setup  ## Every libFuzzer target for FUZZ_SECONDS (60)
	@tools/fuzz "$$FUZZ_SECONDS"

bench-protect: setup  ## Continuous protection of a million files in /dev/shm (5 GiB) beside restic
	@cmake --build --preset release --target recoverd_backup -- --quiet
	@python3 -B test/bench/protect.py build/release/recoverd-backup

tidy: setup  ## clang-tidy over everything: tests, examples, benches too (slow; needs a prior make test)
	@python3 tools/tidy.py build/asan all

mutants: setup  ## Break the rules one at a time; the tests must notice each
	@python3 tools/mutants.py

install: setup  ## Build the library and install it under PREFIX (/usr/local); DESTDIR is honoured
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target recover -- --quiet
	@cmake --install build/release --prefix "$$PREFIX"

install-daemon: setup  ## The same for recoverd: programs, man pages, the unit of systemd
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target recoverd recoverctl -- --quiet
	@cmake --install build/release --prefix "$$PREFIX" --component daemon

deb: setup  ## The Debian package, in build/deb/
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target recover -- --quiet
	@cd build/release && cpack -G DEB -B ../deb

clean:  ## Remove everything that was built
	@rm -rf build
