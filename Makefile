SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo demo-alerts test soak screenshots end-to-end lint rules mutants contact-sheet bench bench-scrape

TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Back up, verify and drill a throwaway server, then serve its page until Ctrl-C; ARGS="..." goes to `pgvigil demo`
	@.ci/install demo
	cargo build --release --locked
	"$(TARGET_DIR)/release/pgvigil" demo $(ARGS)

demo-alerts: ## The same with Prometheus and Alertmanager; damages a backup, and shows who is told what; ARGS=--once ends by itself
	@.ci/install demo-alerts
	cargo build --release --locked
	PGVIGIL="$(TARGET_DIR)/release/pgvigil" rules/demo $(ARGS)

# One test more at a time than there are cores: some of them mostly wait for servers that come, go and are watched.
test: export RUST_TEST_THREADS ?= $(shell echo $$(($$(nproc) + 1)))
# Every test program runs, whatever the one before it said, so that the sum is that of all. cargo's status is this target's.
test: ## Run all tests; ARGS="..." goes to `cargo test`
	@.ci/install test
	@results=$$(mktemp); trap 'rm -f "$$results"' EXIT; status=0; \
	cargo test --locked --no-fail-fast $(ARGS) | tee "$$results" || status=$$?; \
	awk '/^test result:/ { passed += $$4; failed += $$6 } END { printf "%d passed, %d failed\n", passed, failed }' "$$results"; \
	exit $$status

# `make test` has three minutes of it.
soak: ## Half an hour of everything that goes wrong with the sidecar; PGVIGIL_SOAK_SECONDS says how long
	@.ci/install test
	PGVIGIL_SOAK_SECONDS=$${PGVIGIL_SOAK_SECONDS:-1800} cargo test --locked --test it -- --nocapture soak

# They are looked at in review, and stand in the documentation.
screenshots: ## Take pictures of the status page, light, dark and on a phone, into deploy/screenshots
	@.ci/install test
	PGVIGIL_SCREENSHOTS="$(CURDIR)/deploy/screenshots" cargo test --locked --test it -- --nocapture browser

# `make test` has it with minutes made seconds.
end-to-end: ## Six faults, from PostgreSQL to the text that a person reads, with the rules as they are; takes 50 minutes
	@.ci/install test
	PGVIGIL_END_TO_END=full cargo test --locked --test it -- --nocapture six_faults

lint: ## Check the format and the lints
	cargo fmt --check
	cargo clippy --locked --all-targets -- -D warnings

rules: ## Write rules/pgvigil.prometheusrule.yaml from rules/pgvigil.rules.yaml
	@{ echo "# Made by \`make rules\` from pgvigil.rules.yaml, for the Prometheus operator: do not edit."; \
	printf '%s\n' "apiVersion: monitoring.coreos.com/v1" "kind: PrometheusRule" "metadata:" "  name: pgvigil" \
		"  labels:" "    app.kubernetes.io/name: pgvigil" "spec:"; \
	sed -n '/^groups:/,$$ s/^\(.\)/  \1/p; /^$$/p' rules/pgvigil.rules.yaml; } > rules/pgvigil.prometheusrule.yaml

mutants: ## Break the alert rules in a thousand ways and see whether their tests notice; takes 2 minutes
	@.ci/install test
	tests/rules_mutants $(ARGS)

contact-sheet: ## Draw every panel of the dashboards from made-up data, into target/contact-sheet/
	@.ci/install test
	PGVIGIL_CONTACT_SHEET="$(CURDIR)/target/contact-sheet" cargo test --locked --test it -- dashboards::sheet
	@cd target/contact-sheet; for page in *.html; do \
		chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync \
			--hide-scrollbars --user-data-dir="$$PWD/browser" --window-size=1540,4400 --screenshot="$${page%.html}.png" "file://$$PWD/$$page" 2>/dev/null; \
	done; rm -rf browser; ls "$$PWD"/*.png

bench: ## Restore about 1 GB with pgvigil, psql and pg_restore, and compare; needs an idle machine, 10 GB in TMPDIR, and 10 minutes
	@.ci/install bench
	cargo build --release --locked
	PGVIGIL="$(TARGET_DIR)/release/pgvigil" tests/bench/restore $(ARGS)

bench-scrape: ## Measure what a scrape costs with many backups and with many servers; needs an idle machine and 2 minutes
	@.ci/install bench
	cargo build --release --locked
	PGVIGIL="$(TARGET_DIR)/release/pgvigil" tests/bench/scrape $(ARGS)
