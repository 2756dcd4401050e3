# One entry for everything a developer and CI do. `make help` lists the targets.
# Tools are pinned in cmd/tools/*/go.mod and built once into .bin.
SHELL := bash
.DELETE_ON_ERROR:
.ONESHELL:
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules --no-print-directory

GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
LDFLAGS := -X main.version=$(VERSION)
export GOBIN := $(CURDIR)/.bin

# What `make test` and `make bench` look at; `make test PKG=./routing/...` narrows it.
PKG ?= ./...
TEST_FLAGS ?= -timeout 10m
BENCH ?= .
BENCH_FLAGS ?= -benchmem

# Days of each class of traffic that `make compare` runs, for every seed; POLICIES is a regular expression. With a
# directory in RESULTS a comparison that was stopped goes on where it was.
COMPARE_BUSY ?= 1
COMPARE_MEDIUM ?= 2
COMPARE_QUIET ?= 4
COMPARE_HOURS ?= 24
COMPARE_SEEDS ?= 101
COMPARE_POLICIES ?=
COMPARE_CSV ?= .cache/compare.csv
COMPARE_RESULTS ?=

# Payments a week that `make compare-ranking` runs, and weeks of each.
RANKING_VOLUMES ?= 20000,63000,200000,632000,2000000
RANKING_SEEDS ?= 20
RANKING_CSV ?= .cache/ranking.csv

# Measuring programs run by `make bench` after the benchmarks, one package each.
BENCH_PROGRAMS := ./cmd/internal/tipping ./cmd/internal/freeze

BUF := .bin/buf
GEN := .bin/protoc-gen-go
GOLANGCI := .bin/golangci-lint
EXTRA := .bin/benchstat
NFPM := .bin/nfpm
DEB_DIR ?= bin
DEB_BUILT := .cache/deb/sluice
DEB_BINARY ?= $(DEB_BUILT)
PROTOS := api/third_party/buf/validate/validate.proto
BASELINE := api/baseline.binpb
IMAGE := .cache/api.binpb

# Modules beside the main one whose tests and go.mod are ours to keep.
MODULES = $(patsubst %/go.mod,%,$(filter-out cmd/tools/%,$(shell git ls-files '*/go.mod')))

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sed -E 's/:.*## /\t/' | expand -t 18

.PHONY: run
run: build ## Build, then run everything on this machine: sluice dev
	./bin/sluice dev

.PHONY: build
build: ## Build bin/sluice, stamped with its version
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/sluice ./cmd/sluice

.PHONY: deb
deb: $(NFPM) ## Build the Debian package of this machine's architecture into bin/
	mkdir -p .cache/deb '$(DEB_DIR)'
	if [[ '$(DEB_BINARY)' == '$(DEB_BUILT)' ]]; then
	  CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w $(LDFLAGS)' -o $(DEB_BUILT) ./cmd/sluice
	fi
	seconds=$$(git log -1 --format=%ct 2>/dev/null || echo 0)
	version=$$(cmd/tools/debversion.sh '$(VERSION)' "$$seconds")
	DEB_BINARY='$(DEB_BINARY)' DEB_ARCH=$$($(GO) env GOARCH) DEB_VERSION="$$version" SOURCE_DATE_EPOCH="$$seconds" \
	  $(NFPM) package --config deploy/nfpm.yaml --packager deb --target '$(DEB_DIR)'

.PHONY: test
test: ## Run all tests, with the race detector where a C compiler is found
	@env=$$(cmd/tools/setup.sh); eval "$$env"
	all=$$($(GO) list $(PKG))
	virtual=$$(echo "$$all" | grep -E '/cmd/internal/(simulate|campaign|backtest|histories)$$' || true) # one goroutine in virtual time
	raced=$$(echo "$$all" | grep -vE '/cmd/internal/(simulate|campaign|backtest|histories)$$' || true)
	if [ -n "$$raced" ]; then $(GO) test $$SLUICE_RACE $(TEST_FLAGS) $$raced; fi
	if [ -n "$$virtual" ]; then $(GO) test $(TEST_FLAGS) $$virtual; fi
	for module in $(MODULES); do
	  echo "module $$module"
	  $(GO) -C $$module test $$SLUICE_RACE $(TEST_FLAGS) ./...
	done

.PHONY: bench
bench: ## Run the benchmarks and the measuring programs
	@env=$$(cmd/tools/setup.sh); eval "$$env"
	$(GO) test -run '^$$' -bench '$(BENCH)' $(BENCH_FLAGS) $(PKG)
	for program in $(BENCH_PROGRAMS); do
	  echo "program $$program"
	  $(GO) run $$program
	done

# Histories that `make histories` plays; `make test` plays a million.
HISTORIES ?= 100000000

.PHONY: histories
histories: ## Play HISTORIES random payments against the rule for previous attempts: about 10 s of one processor a million
	$(GO) run ./cmd/internal/histories -n $(HISTORIES)

.PHONY: compare
compare: ## Run the same days through breaker libraries and through Sluice: a table, and COMPARE_CSV
	mkdir -p '$(dir $(COMPARE_CSV))'
	$(GO) -C cmd/compare run . --busy $(COMPARE_BUSY) --medium $(COMPARE_MEDIUM) --quiet $(COMPARE_QUIET) \
	  --hours $(COMPARE_HOURS) --seeds '$(COMPARE_SEEDS)' --policies '$(COMPARE_POLICIES)' --csv '$(abspath $(COMPARE_CSV))' \
	  --results '$(abspath $(COMPARE_RESULTS))'

.PHONY: compare-ranking
compare-ranking: ## Run the same weeks through bandit algorithms and through Sluice's ranking: a table, and RANKING_CSV
	mkdir -p '$(dir $(RANKING_CSV))'
	$(GO) -C cmd/compare run ./ranking --volumes '$(RANKING_VOLUMES)' --seeds $(RANKING_SEEDS) --csv '$(abspath $(RANKING_CSV))'

.PHONY: lint
lint: lint-go lint-proto lint-tidy ## Check code, protos, generated code and modules

.PHONY: lint-go
lint-go: $(GOLANGCI)
	$(GO) vet $(PKG)
	$(GOLANGCI) run $(PKG)
	for module in $(MODULES); do
	  $(GO) -C $$module vet ./...
	  (cd $$module && '$(CURDIR)/$(GOLANGCI)' run ./...)
	done

.PHONY: lint-proto
lint-proto: $(BUF) $(GEN) $(PROTOS)
	$(BUF) lint
	$(BUF) format --diff --exit-code --path api/sluice
	mkdir -p .cache
	$(BUF) build --path api/sluice --exclude-source-info --output $(IMAGE)
	$(BUF) breaking $(IMAGE) --against $(BASELINE) --exclude-imports --config '{"version":"v2","breaking":{"use":["FILE"]}}'
	cmd/tools/generated.sh check

.PHONY: lint-tidy
lint-tidy:
	$(GO) mod tidy -diff
	for module in $(MODULES); do $(GO) -C $$module mod tidy -diff; done

.PHONY: fmt
fmt: $(GOLANGCI) $(BUF) $(PROTOS) ## Format Go and proto files
	$(GOLANGCI) fmt
	$(BUF) format --write --path api/sluice

.PHONY: generate
generate: $(BUF) $(GEN) $(PROTOS) ## Generate the Go code of the protos
	cmd/tools/generated.sh write

.PHONY: baseline
baseline: $(BUF) $(PROTOS) ## Accept today's protos as what later ones may not break
	$(BUF) build --path api/sluice --exclude-source-info --output $(BASELINE)

.PHONY: tools
tools: $(BUF) $(GEN) $(GOLANGCI) $(EXTRA) $(NFPM) ## Build all pinned tools into .bin

.PHONY: clean
clean: ## Remove what builds and tests leave; tools stay
	rm -rf bin .cache/generated $(IMAGE)

.PHONY: distclean
distclean: clean ## Remove tools, caches and copied protos as well
	rm -rf .bin .cache api/third_party

$(BUF): cmd/tools/buf/go.mod cmd/tools/buf/go.sum
	$(GO) -C cmd/tools/buf install tool
	touch $@

$(GEN): cmd/tools/gen/go.mod cmd/tools/gen/go.sum
	$(GO) -C cmd/tools/gen install tool
	touch $@

$(GOLANGCI): cmd/tools/golangci/go.mod cmd/tools/golangci/go.sum
	$(GO) -C cmd/tools/golangci install tool
	touch $@

$(EXTRA): cmd/tools/extra/go.mod cmd/tools/extra/go.sum
	$(GO) -C cmd/tools/extra install tool
	touch $@

$(NFPM): cmd/tools/nfpm/go.mod cmd/tools/nfpm/go.sum
	$(GO) -C cmd/tools/nfpm install tool
	touch $@

# Protos of others come from their Go module, so that no schema registry is needed.
$(PROTOS): cmd/tools/proto/go.mod cmd/tools/proto/go.sum
	$(GO) -C cmd/tools/proto mod download github.com/bufbuild/protovalidate
	dir=$$($(GO) -C cmd/tools/proto list -m -f '{{.Dir}}' github.com/bufbuild/protovalidate)
	install -D -m 644 "$$dir/proto/protovalidate/buf/validate/validate.proto" $@
