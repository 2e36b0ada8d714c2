# Two commands do everything on a fresh machine: `make demo` and `make test`.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X github.com/bot-bottle/bb/cmd/bb/internal/cli.Version=$(VERSION)
FUZZTIME ?= 10s
# Two packages at a time: those that use the engine mostly wait for it. The
# timeout leaves room for the first build of every image. No result is taken
# from the cache: it does not know of the binaries that tests build and run.
TESTFLAGS ?= -p 2 -timeout 40m -count=1
# The one that takes the longest begins first.
PACKAGES = ./e2e ./...

GOLANGCI_VERSION = v2.15.0
GOLANGCI = bin/golangci-lint-$(GOLANGCI_VERSION)

# What a soak takes: hours on a slow machine, all of them in e2e.
SOAKTIME ?= 8h

.PHONY: all build test contract attack soak lint fmt demo bench fuzz cross engine base-image clean

all: build

build: ## the one static binary, bin/bb
	@hack/toolchain
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/bb ./cmd/bb

test: ## all tests, on a real engine that is started when none answers
	@hack/toolchain race
	@hack/engine
	@hack/without-race $(TESTFLAGS)
	hack/with-build-ca go test -race $(TESTFLAGS) $(PACKAGES)

contract: ## client and driver of smolvm against the real smolvm, where one can be had, and in a real VM, where one boots
	@hack/toolchain
	@hack/engine
	BB_SMOLVM=$$(hack/smolvm) hack/with-build-ca go test -v -count=1 -p 1 ./backends/smolvm/cli ./backends/smolvm -run '^(TestContract|TestRealSmolvm|TestBoots)$$'

attack: ## the attack list from inside a real bottle, as a table
	@hack/toolchain
	@hack/engine
	@hack/attack/run

soak: ## the long tests: a stream of half an hour, every target fuzzed for a minute, every step of an apply killed, 500 create/destroy loops
	@hack/toolchain
	@hack/engine
	BB_SOAK=1 hack/with-build-ca go test -v -count=1 -timeout $(SOAKTIME) ./e2e -run '^(TestKilledAtEveryStep|TestRefusedAtEveryStep|TestFirstApply|TestCreateAndDestroyAgain|TestTwo|TestApplyAndDestroy|TestEngine|TestFullDisk|TestRouteChanges|TestLongStream)'
	@hack/fuzz 60s

lint: $(GOLANGCI) ## format, linters, import rules, shell scripts
	$(GOLANGCI) fmt --diff
	$(GOLANGCI) run
	hack/shellcheck

fmt: $(GOLANGCI) ## put everything into the form that lint wants
	$(GOLANGCI) fmt

$(GOLANGCI):
	@hack/toolchain
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	mv bin/golangci-lint $@

demo: ## two bottles and a local upstream, every step with its output
	@hack/demo

bench: ## benchmarks; the tests have their own target
	@hack/engine
	hack/with-build-ca go test -run '^$$' -bench . -benchmem -p 1 -timeout 30m ./...

fuzz: ## every fuzz target for FUZZTIME
	@hack/fuzz $(FUZZTIME)

cross: ## what a release carries, compiled and thrown away
	@hack/cross

engine: ## a Docker engine that answers, with the base image
	@hack/engine

base-image: ## the image that everything bb builds starts from
	@hack/base-image

clean:
	rm -rf bin dist
