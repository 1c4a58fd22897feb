# Everything that a contributor runs. `make help` lists it.

VERSION ?= dev
GO      ?= go
LDFLAGS  = -s -w -X github.com/weftmesh/weft/internal/version.version=$(VERSION)
PROGRAMS = weft weft-control weft-proxy weft-init
CLUSTER  = $(GO) run ./e2e/cluster/cmd

export CGO_ENABLED = 0

.DEFAULT_GOAL := help
.PHONY: help build images test lint demo cluster-build cluster-up cluster-down e2e guide fuzz-quick clean

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
	$(GO) test ./...

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
	$(GO) test -tags e2e -count=1 -p 1 -timeout 40m ./e2e/...

guide: images ## run the guide against Weft on real clusters and print the score
	$(GO) run ./e2e/guide

fuzz-quick: ## run every fuzz test for a few seconds
	@set -e; $(GO) list -f '{{.Dir}}' ./... | while read -r dir; do \
	  grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$$dir"/*_test.go 2>/dev/null | cut -c6- | while read -r f; do \
	    echo "$$dir $$f"; (cd "$$dir" && $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime 5s . ) || exit 1; \
	  done; \
	done

clean: ## remove what was built
	rm -rf dist
