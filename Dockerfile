# The image: one static binary, certificates, nothing else. No shell, no user but a number, nothing that needs to be written.
#
#   docker build -t interlock:0.1.0 --build-arg REVISION=$(git rev-parse HEAD) .
#
# Where a binary is at hand that .ci/static made, no compiler is needed:
#
#   docker build -t interlock:0.1.0 --target prebuilt -f Dockerfile FOLDER     with interlock and ca-certificates.crt in it

# What both ways have in common.
FROM scratch AS settings
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="interlock" \
      org.opencontainers.image.description="A rollout sidecar: moves racing update calls from a legacy path to a fixed one by percentage flags" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# Nobody on the host, and a number, as runAsNonRoot can't tell who a name is.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/interlock"]
CMD ["run", "--config", "/etc/interlock/interlock.toml"]
# Kubernetes has probes of its own; this is for engines that have not.
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["/interlock", "health"]

FROM settings AS prebuilt
# What a Redis or a collector over TLS is trusted by, unless the configuration names others.
COPY ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY interlock /interlock

FROM docker.io/library/rust:1.95-bookworm AS build
ARG REVISION=unknown
WORKDIR /src
COPY . .
RUN INTERLOCK_REVISION="${REVISION}" ./.ci/static /out/interlock

FROM settings
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/interlock /interlock
