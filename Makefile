# GOFLAGS: the libvirt binding opens libvirt at run time, so that vmplan starts where it is not installed.
GO        ?= go
TAGS      ?= libvirt_dlopen
FUZZTIME  ?= 30s
VERSION   ?= $(shell git describe --tags --dirty 2>/dev/null)
GOFLAGS   := -buildvcs=false -tags=$(TAGS)
GOTESTSUM := $(GO) run gotest.tools/gotestsum@v1.13.0 --format standard-quiet
GOLANGCI  := bin/golangci-lint-v2.11.0
export GOFLAGS

.PHONY: build setup test soak demo bench lint fmt docs fuzz clean

build: ## bin/vmplan
	$(GO) build -trimpath -ldflags '-s -w$(if $(VERSION), -X main.version=$(VERSION:v%=%))' -o bin/vmplan ./cmd/vmplan

setup: ## install what building and trying out take, if it is missing
	sh .ci/setup

test: ## everything, real guests included, with what it takes installed; what was skipped and why is listed at the end
	sh .ci/setup test
	sh .ci/check
	@# Two packages at a time, and two stories of a package: few guests boot at once, which is what two cores can take.
	$(GOTESTSUM) -- -p 2 -parallel 2 -timeout 60m ./...

soak: ## what takes long: random tests five times as often, and the slowest guests
	sh .ci/setup test
	VMPLAN_TEST_FACTOR=5 GOFLAGS='-buildvcs=false -tags=$(TAGS),soak' $(GOTESTSUM) -- -p 1 -parallel 2 -timeout 180m ./...

demo: setup build ## plan, apply, log in, plan again and destroy, on a real guest
	sh .ci/demo

bench: setup build ## speed and memory, beside their floors
	$(GO) build -o bin/floor ./drivers/libvirt/libvirttest/cmd/floor
	$(GO) run ./cmd/internal/bench $(CURDIR)/bin/vmplan $(CURDIR)/bin/floor

lint: $(GOLANGCI) ## gofmt, vet and golangci-lint
	sh .ci/check static
	$(GOLANGCI) run

$(GOLANGCI):
	GOBIN=$(CURDIR)/bin GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(@:bin/golangci-lint-%=%)
	mv bin/golangci-lint $@

fmt: ## format Go and the examples
	$(GO) run mvdan.cc/gofumpt@v0.9.2 -w cmd config drivers planner state
	for file in examples/*/main.hcl examples/*/*/main.hcl; do $(GO) run ./cmd/vmplan fmt --chdir $$(dirname $$file); done

docs: ## the reference pages, from the schema
	$(GO) generate ./...

fuzz: ## each fuzzer for FUZZTIME
	sh .ci/fuzz $(FUZZTIME)

clean: ## what was built; not the caches of images and guests
	rm -rf bin
