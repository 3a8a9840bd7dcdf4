# The image of the DaemonSet: agent, installer and clean-up on Debian, for amd64 and arm64. `make image` builds it, with BuildKit or buildah.
#
# Both bases are arguments, so that local ones can stand in for those of a registry: any Debian of that release as BASE, and one with npm as BUILD_BASE.
# Debian's current stable: its tools read what those of the nodes write (docs/adr/0030).
ARG BASE=docker.io/library/debian:trixie-slim
ARG BUILD_BASE=docker.io/library/node:24-trixie-slim

# On the machine that builds, whatever the image is for: only the C compiler and Node know the difference.
FROM --platform=$BUILDPLATFORM ${BUILD_BASE} AS build
ARG TARGETARCH
RUN target=${TARGETARCH:-$(dpkg --print-architecture)} \
 && case $target in amd64) machine=x86_64 cpu=x64 ;; arm64) machine=aarch64 cpu=arm64 ;; *) echo "no image for $target: it is amd64 or arm64" >&2; exit 1 ;; esac \
 && echo "target=$target machine=$machine cpu=$cpu" >/target \
 && dpkg --add-architecture $target && apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends binutils gcc-$(echo $machine | tr _ -)-linux-gnu musl-dev:$target
WORKDIR /src
COPY package.json package-lock.json ./
# Two runs: the programs of the build are this machine's, and the Node of the image is its own. Without the symbols it is 18 MB smaller.
RUN npm install --no-save --no-audit --no-fund --ignore-scripts \
 && . /target && version=$(npm pkg get optionalDependencies.node-linux-$cpu | tr -d '"') \
 && mkdir -p /out/bin /runtime && npm pack --silent --pack-destination /runtime node-linux-$cpu@$version \
 && tar -xzf /runtime/*.tgz -C /runtime package/bin/node package/LICENSE \
 && $machine-linux-gnu-strip -o /out/bin/node /runtime/package/bin/node && cp /runtime/package/LICENSE /out/LICENSE.node
COPY . .
ARG COMMIT
RUN . /target && COMMIT=$COMMIT MUSL_GCC=$machine-linux-musl-gcc node_modules/node-linux-*/bin/node build.ts \
 && cp -r dist LICENSE /out && cp bin/fairlead /out/bin

FROM ${BASE}
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends conntrack ethtool iproute2 iptables kmod nftables \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*
COPY --from=build /out /opt/fairlead
RUN ln -s /opt/fairlead/bin/fairlead /usr/local/bin/fairlead
ARG COMMIT
LABEL org.opencontainers.image.title=fairlead org.opencontainers.image.licenses=Apache-2.0 org.opencontainers.image.revision=$COMMIT
# Nothing is written but below mounts of the node: it runs with a read-only root.
ENTRYPOINT ["/opt/fairlead/bin/fairlead"]
CMD ["agent"]
