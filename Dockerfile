# One image for every service: `docker build -t trunkline .` (with BuildKit: Docker 23, or DOCKER_BUILDKIT=1 before it).
#
# RUST and DEBIAN name other base images, for example of a registry of your own. BINARY=prebuilt takes what
# `cargo xtask image` left in target/image in place of compiling: for a machine that has the toolchain already.
ARG RUST=rust:1.95-slim-bookworm
ARG DEBIAN=debian:bookworm-slim
ARG BINARY=compiled

FROM ${RUST} AS compiled
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# The registry and what was built before are kept between builds; the results are copied out of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo run --release --locked --package xtask -- image \
    && mkdir /out && cp target/image/* /out

FROM scratch AS prebuilt
COPY target/image /out

FROM ${BINARY} AS binary

# What the binary needs of a system: the C library, and the certificates that brokers, stores and platforms are checked
# against. No shell, no package manager.
FROM ${DEBIAN} AS system
RUN test -e /etc/ssl/certs/ca-certificates.crt \
    || (apt-get update && apt-get install --yes --no-install-recommends ca-certificates)
COPY --from=binary /out/ /out/
RUN install -D /out/trunkline /system/usr/local/bin/trunkline \
    && install -D -m 644 /out/trunkline.cdx.json /system/usr/share/sbom/trunkline.cdx.json \
    && ldd /out/trunkline | grep --only-matching '/[^ ]*' | xargs cp --dereference --parents --target-directory=/system \
    && cp --parents --target-directory=/system /etc/ssl/certs/ca-certificates.crt \
    # Scanners read here which packages of the distribution an image holds.
    && for package in libc6 libgcc-s1 ca-certificates; do \
           mkdir -p /system/var/lib/dpkg/status.d && dpkg --status "$package" > "/system/var/lib/dpkg/status.d/$package"; \
       done \
    && echo 'trunkline:x:65532:65532::/:/nonexistent' > /system/etc/passwd \
    && echo 'trunkline:x:65532:' > /system/etc/group \
    && echo 'hosts: files dns' > /system/etc/nsswitch.conf \
    && mkdir -p /system/etc/trunkline && install -d -m 1777 /system/tmp \
    && install -d -o 65532 -g 65532 /system/var/lib/trunkline

FROM scratch
COPY --from=system /system/ /
# By number, so that Kubernetes sees that it is not root. Nothing is written but below /var/lib/trunkline, and there only by
# the embedded engine, a store in SQLite and `file` destinations: mount a volume for these.
USER 65532:65532
WORKDIR /etc/trunkline
ENV TRUNKLINE_CONFIG=/etc/trunkline/trunkline.yaml TRUNKLINE_LOG_FORMAT=json
EXPOSE 8080 8090 9600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 CMD ["trunkline", "health", "--admin", "127.0.0.1:9600"]
ENTRYPOINT ["trunkline"]
CMD ["up"]
