# Everything that a contributor runs. `make help` lists it.

VERSION ?= dev
GO      ?= go
LDFLAGS  = -s -w -X github.com/weftmesh/weft/internal/version.version=$(VERSION)
PROGRAMS = weft weft-control weft-proxy weft-init
CLUSTER  = $(GO) run ./e2e/cluster/cmd
# What runs tests. VERDICT='-skips FILE' also fails on tests that were skipped for
# want of something, but for those in the file.
TEST     = $(if $(VERDICT),$(GO) run ./e2e/verdict $(VERDICT) --,$(GO) test)

export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build images test lint demo cluster-build cluster-up cluster-down e2e guide bench bench-quick bench-control bench-features dataplane dataplane-full soak fuzz-quick clean conformance

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build the programs into dist/bin
	@mkdir -p dist/bin
	$(GO) build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o dist/bin/ $(addprefix ./cmd/,$(PROGRAMS))

images: build ## write the container images, as OCI archives, into dist/images
	@$(GO) run -ldflags "$(LDFLAGS)" ./internal/image/cmd -bin dist/bin -out dist/images

test: ## go vet, the laws of the tree and all unit tests; needs Go alone
	$(GO) vet ./...
	$(GO) vet -tags e2e ./e2e/...
	$(TEST) $$($(GO) list ./... | grep -vE '/(local|bench|e2e)(/|$$)')
	$(TEST) -p 1 ./local/... ./bench/... ./e2e/... # whole programs under load: one after the other

lint: ## gofmt, and golangci-lint if it is installed (rules: .golangci.yml)
	@files=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted:"; echo "$$files"; exit 1; fi
	@if command -v golangci-lint >/dev/null; then golangci-lint run ./...; \
	else echo "golangci-lint is not installed; only gofmt was checked (https://golangci-lint.run/docs/welcome/install/)"; fi

demo: build ## build, then run a small shop on this machine with a sidecar beside each process
	dist/bin/weft demo

cluster-build: ## build what the test cluster consists of (once, about ten minutes; cached outside the tree)
	$(CLUSTER) build

cluster-up: ## start a real Kubernetes of one node on this machine (Linux, root)
	$(CLUSTER) up

cluster-down: ## end it, leaving nothing
	$(CLUSTER) down

e2e: images ## run the suites on a real cluster, which is started and ended (Linux, root)
	$(TEST) -tags e2e -count=1 -p 1 -parallel 4 -timeout 40m ./e2e/cluster/... ./e2e/suite/...

conformance: images ## run the Gateway API's own suite for meshes on a real cluster (SUITE= for switches: -run TEST, -suite v1.7.0)
	$(GO) run ./e2e/conformance $(SUITE)

guide: images ## run the guide against Weft on real clusters and print the score
	$(GO) run ./e2e/guide

bench: build ## measure what a request costs beside nginx, HAProxy and Envoy (BENCH= for switches: BENCH=-h lists them)
	$(GO) build -o dist/bench/bench ./bench/cmd
	dist/bench/bench $(BENCH)

bench-quick: BENCH := -quick $(BENCH)
bench-quick: bench ## the same for every day, within five minutes

bench-control: ## measure what the control plane costs on a real API server with simulated proxies (Linux; BENCH_CONTROL= for switches: BENCH_CONTROL=-h lists them)
	@mkdir -p dist/bin dist/bench
	$(GO) build -trimpath -buildvcs=false -ldflags "$(LDFLAGS)" -o dist/bin/ ./cmd/weft-control
	$(GO) build -o dist/bench/control ./bench/control
	dist/bench/control $(BENCH_CONTROL)

bench-features: ## measure what each feature of the proxy costs a request, in ns and allocations
	$(GO) test -run '^$$' -bench . -benchtime 300ms -count 5 ./bench/feature

dataplane: ## the data plane from outside, built with the race detector (about five minutes; needs a C compiler)
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 20m ./e2e/dataplane

dataplane-full: ## the same without the race detector in its whole sizes: 10 GiB, 10,000 connections, a fault at every byte (about an hour)
	$(GO) test -count=1 -timeout 2h -v ./e2e/dataplane -dataplane.full

SOAK ?= 30m
soak: ## traffic while connections, endpoints and routes come and go; memory must stay flat (SOAK=30m)
	$(GO) test -count=1 -timeout 4h -v -run TestSoak ./e2e/dataplane -dataplane.soak $(SOAK)

fuzz-quick: ## run every fuzz test for a few seconds
	@set -e; $(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
	  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null | cut -c6- | while read -r f; do \
	    echo "$$dir $$f"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime 5s . ) || exit 1; \
	  done; \
	done

clean: ## remove what was built
	rm -rf dist
