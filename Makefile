# The two commands a newcomer needs: `make lab` and `make test`. Both set up what is missing, from apt and npm, and nothing else.
SHELL := /bin/bash
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export npm_config_loglevel := error

.PHONY: lab test build check bench image clean
.DELETE_ON_ERROR:

# A two-node cluster of network namespaces, the tour through it, and everything gone again, also when a step failed.
lab: build
	@$(as_root) bin/fairlead lab up && $(as_root) bin/fairlead lab tour; result=$$?; $(as_root) bin/fairlead lab down && exit $$result

# Format, types, lint, unused code, then unit, kernel and runtime tests; without root the kernel tests are skipped by name.
test: build runtime
	npm run --silent check
	npx vitest run $(VITEST_FLAGS)

build: dist/fairlead.mjs

check: node_modules/.package-lock.json
	npm run --silent check

bench: build
	npm run --silent bench

# The DaemonSet's image, by whichever is there: Docker with BuildKit, or buildah. BASE and BUILD_BASE put other images in the place of the Dockerfile's;
# IMAGE_FLAGS are the builder's own, such as --platform linux/arm64 or --network host.
IMAGE ?= fairlead:latest
image:
	@if docker info >/dev/null 2>&1; then builder=docker; elif command -v buildah >/dev/null; then builder=buildah; \
	else echo "make image: no Docker engine answers and there is no buildah: start the one or install the other"; exit 1; fi; \
	DOCKER_BUILDKIT=1 $$builder build --tag $(IMAGE) --build-arg COMMIT=$$(git describe --always --dirty) \
	  $(if $(BASE),--build-arg BASE=$(BASE)) $(if $(BUILD_BASE),--build-arg BUILD_BASE=$(BUILD_BASE)) $(IMAGE_FLAGS) .

clean:
	rm -rf dist node_modules

dist/fairlead.mjs: node_modules/.package-lock.json build.ts tsconfig.json $(shell find cmd src -name '*.ts' -o -name '*.c' 2>/dev/null) | packages
	@echo "building dist/"
	@node build.ts

node_modules/.package-lock.json: package.json package-lock.json | packages
	@command -v npm >/dev/null || { echo "make: npm is missing: install it first (apt-get install npm)"; exit 1; }
	@echo "installing npm packages"
	@# Not `npm ci`: it refuses a lock file without those optional packages of other platforms that a registry does not have.
	@npm install --no-save --no-audit --no-fund
	@# Node comes in a package for each architecture, and npm 9 may take away the link of the one together with the other's, which is not for this machine.
	@ln -sfn ../node-linux-$$(node -p process.arch)/bin/node node_modules/.bin/node

# Programs that the agent, the lab and the tests start, and the Debian packages that bring them.
programs := ip bridge tc nft iptables-nft-restore iptables-legacy-restore conntrack ethtool ipset ping nsenter flock musl-gcc socat gcc
apt_packages := iproute2 nftables iptables conntrack ethtool ipset iputils-ping util-linux musl-tools socat gcc libc6-dev
as_root := $(if $(filter 0,$(shell id -u)),,sudo)

.PHONY: packages
packages:
	@PATH=$$PATH:/usr/sbin:/sbin; for program in $(programs); do command -v $$program >/dev/null || missing="$$missing $$program"; done; \
	if [ -n "$$missing" ]; then \
	  echo "installing packages for:$$missing"; \
	  $(as_root) apt-get update -qq && $(as_root) env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(apt_packages) >/dev/null; \
	fi

# The container runtime of test/cri, each program only where none is: Docker brings a containerd of its own. systemctl ignores "start" when it is told that it is offline.
runtime_packages = $(strip $(foreach program,containerd runc,$(if $(shell PATH=$$PATH:/usr/sbin:/sbin command -v $(program)),,$(program))))

.PHONY: runtime
runtime: | packages
	@if [ -n "$(runtime_packages)" ]; then \
	  echo "installing packages: $(runtime_packages)"; \
	  $(as_root) apt-get update -qq && $(as_root) env SYSTEMD_OFFLINE=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(runtime_packages) >/dev/null; \
	fi
