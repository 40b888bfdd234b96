# Every target works from a fresh clone. `make demo` and `make test` are the
# two that matter; the rest are what they are made of.

SHELL := /bin/bash
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
export GOFLAGS := -buildvcs=false

.PHONY: timings demo demo-check test lint fmt tidy golden golden-check fuzz bench bench-rows deps build release clean

## demo: a host with sign-in and a partner app, running, on SQLite
demo: build
	bin/lockspire demo --dir .tmp/demo --runtime-dir runtime

## demo-check: the same without a person; fails at the first difference
demo-check: build
	bin/lockspire demo --check --dir .tmp/demo-check --runtime-dir runtime

## test: everything, on real PostgreSQL, SQLite and Chromium
test: deps
	scripts/test

## lint: gofmt, vet and staticcheck in every module, and tidy go.mod files
lint:
	STATICCHECK=$(STATICCHECK) scripts/lint

## golden: rewrite the expected trees; review the diff
golden:
	GOWORK=off go test ./internal/install -run TestGolden -count=1 -update

## golden-check: the expected trees are what the generator writes today
golden-check: golden
	git diff --exit-code -- golden

## fuzz: each fuzz target for FUZZTIME
FUZZTIME ?= 10s
fuzz:
	FUZZTIME=$(FUZZTIME) scripts/fuzz

## bench: this runtime beside other servers and beside bare controls, and which
## numbers hold; about a quarter of an hour. BENCHTIME=1s ROUNDS=1 is a smoke test
BENCHTIME ?= 4s
ROUNDS ?= 3
bench: deps
	LOCKSPIRE_TEST_POSTGRES=$$(scripts/postgres start) && export LOCKSPIRE_TEST_POSTGRES && \
	cd bench && GOWORK=off go run . -benchtime $(BENCHTIME) -rounds $(ROUNDS) $(BENCHFLAGS)

## timings: what install and verify cost in a repository, beside the go command
RUNS ?= 3
timings: build
	GOWORK=off go build -o bin/timings ./internal/timings
	bin/timings -runs $(RUNS) $(TIMINGSFLAGS) $(HOST)

## bench-rows: how long requests take with a million rows in each table beside a
## thousand; long, and for a machine that does nothing else
bench-rows: deps
	LOCKSPIRE_TEST_POSTGRES=$$(scripts/postgres start) && export LOCKSPIRE_TEST_POSTGRES && \
	cd runtime/dbtest && GOWORK=off go test -run xxx -bench Rows -timeout 2h .

## deps: what the tests need, from Debian packages and npm's lock file
deps:
	scripts/deps

build:
	GOWORK=off go build -o bin/lockspire ./cmd/lockspire

fmt:
	gofmt -w $$(git ls-files '*.go' | grep -v -e /testdata/ -e ^golden/)

## release: tag runtime/vX, drop the replace, tag vX (VERSION=v0.1.0)
release:
	scripts/release $(VERSION)

clean:
	scripts/postgres stop
	rm -rf .tmp bin
