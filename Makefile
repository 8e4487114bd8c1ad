# The targets continuous integration and people use, by name. `make test` needs Go and, for the real peers, Debian: it
# fetches what is missing (test/prepare.sh). `make unit` fetches nothing but Go modules.

# The binary is made without cgo. So are its tests, and what one step has compiled serves the next; but the race detector
# wants cgo.
export CGO_ENABLED := 0

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO          ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
NFPM        := github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.1
FUZZTIME    ?= 30s
# So many packages are tested at a time: tests wait more than they work.
BESIDE      ?= 3
# So many rings are run at a time; where others share the machine, one.
RINGS       ?= $(if $(CI),1,2)

# Where goroutines, locks and connections are shared. Ground rooms have none of these.
CONCURRENT := ./cmd/... ./internal/check/... ./internal/dns/... ./internal/event/... ./internal/gateway/... \
	./internal/history/... ./internal/lab/... ./internal/operator/... ./internal/policy/certcheck/... \
	./internal/policy/revoke/... ./internal/policy/rules/... ./internal/queue/... ./internal/smtp/... ./bench/...

.PHONY: build demo docs test check systems lint unit race e2e failover bare bare-short fuzz crash soak scale bench bench-full microbench deb image clean

build: ## the binary, without cgo
	$(GO) build -trimpath -o postern ./cmd/postern

demo: ## a whole world on loopback; no root, no network
	$(GO) run ./cmd/postern demo

docs: ## the parts of the documents that are made from the code; a test tells where they are not current
	$(GO) run ./tools/docs

test: check unit race e2e ## everything except long soaks

check: ## formatting, vet, staticcheck, types for other systems
	@unformatted=$$(gofmt -l $$(git ls-files --cached --others --exclude-standard '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-clean: $$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...
	$(GO) run ./tools/systems $(SYSTEMS)

lint: check

# The service is for Linux. Demo, check, headers, config, rules and the client verbs are for these too. Every check looks at
# the types of one processor each, in seconds; make systems SYSTEMS="darwin/amd64 ..." builds these or others.
SYSTEMS := darwin/arm64 freebsd/amd64 windows/amd64

systems: ## the binary builds for other systems
	@for s in $(SYSTEMS); do \
		echo "build for $$s"; GOOS=$${s%/*} GOARCH=$${s#*/} $(GO) build -buildvcs=false -o /dev/null ./cmd/postern; \
	done

# check vets everything once; the tests need not do it again for each of their builds.
unit: ## all tests that need no peers
	$(GO) test -vet=off -p $(BESIDE) -timeout 20m $$($(GO) list ./... | grep -v '/test/')

race: ## the shared parts again, watched for races
	@test/prepare.sh race
	@if command -v gcc >/dev/null || [ -n "$${CI:-}" ]; then set -x; CGO_ENABLED=1 $(GO) test -vet=off -race -short -p $(BESIDE) -timeout 20m $(CONCURRENT); \
	else echo "race: NOT RUN: there is no C compiler, and the race detector links with one"; fi

# RINGS packages at a time, four tests each.
e2e: ## the gateway between real mail servers
	@test/prepare.sh peers
	@test/prepare.sh postgres
	@test/prepare.sh crash
	@test/prepare.sh browser
	dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; chmod 755 "$$dir"; \
	$(GO) build -buildvcs=false -o "$$dir/postern" ./cmd/postern; \
	POSTERN_BINARY=$$dir/postern $(GO) test -vet=off -count=1 -p $(RINGS) -parallel 4 -timeout 20m ./test/...

failover: ## two PostgreSQL under Patroni: the primary is killed ten times under load; some minutes
	@test/prepare.sh postgres
	@test/prepare.sh cluster
	POSTERN_FAILOVER=1 $(GO) test -vet=off -count=1 -timeout 20m -v -run Patroni ./test/cluster

bare: ## both commands of the README on a bare Debian, in four forms; as root, an hour
	test/bare.sh full

bare-short: ## the demo and every real peer on a bare Debian; as root, a few minutes
	test/bare.sh short

fuzz: ## every fuzz target for FUZZTIME
	@for dir in $$(grep -rl --include='*_test.go' '^func Fuzz' internal cmd | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho '^func Fuzz[A-Za-z0-9_]*' $$dir/*_test.go | cut -c6- | sort -u); do \
			echo "== $$dir $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target$$" -fuzzminimizetime 5s -fuzztime $(FUZZTIME) ./$$dir; \
		done; \
	done

crash: ## kill it, cut its power and break its disk, many times and at every call; takes about an hour
	@test/prepare.sh crash
	$(GO) test -count=10 -timeout 60m -run 'Killed|WriteError' ./internal/queue/sqlstore
	POSTERN_CRASH=long $(GO) test -count=1 -timeout 120m -v ./test/crash
	@test/prepare.sh postgres
	@test/prepare.sh cluster
	POSTERN_CRASH=long $(GO) test -count=1 -timeout 60m -v ./test/cluster
	$(GO) test -count=1 -timeout 30m -run JudgedByWhatIsInForce ./internal/gateway/dispatch -story.count 50

soak: ## slow, broken and hostile worlds, hours of them
	POSTERN_SOAK=1 $(GO) test -count=1 -timeout 6h -v ./test/endurance
	@test/prepare.sh peers
	POSTERN_SOAK=1 $(GO) test -count=1 -timeout 2h -v -run Boundaries ./test/e2e

scale: ## a million deferred deliveries and ten million finished ones; takes long and some gigabytes
	POSTERN_SCALE=1000000 $(GO) test -count=1 -timeout 120m -v -run TestScale ./internal/queue/sqlstore ./test/acceptance

bench: ## side by side with Postfix and the null relay, a few minutes; see bench/README.md
	@test/prepare.sh peers
	$(GO) run ./bench short -json dist/bench.json

bench-full: ## everything, with every server; takes an hour or more and ten gigabytes; makes the tables of docs/performance.md anew
	@test/prepare.sh peers
	$(GO) run ./bench full -json docs/performance.json -docs docs

microbench: ## benchmarks of every room
	$(GO) test -run '^$$' -bench . -benchmem ./internal/...

deb: build ## dist/*.deb
	mkdir -p dist
	./postern config example > dist/postern.toml
	./postern man | gzip -9n > dist/postern.1.gz
	VERSION=$$(git describe --tags --match 'v*' 2>/dev/null | sed 's/^v//' || true); \
	VERSION=$${VERSION:-0.0.0} $(GO) run $(NFPM) package --config packaging/nfpm.yaml --packager deb --target dist/

image: ## a container image
	docker build -f packaging/Dockerfile -t postern .

clean:
	rm -rf postern dist
