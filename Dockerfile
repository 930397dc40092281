# The sidecar's image: one virtual environment, nothing to install more with, no root.
# docker build --tag librechat-watcher:local .

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /build

# What the program needs, each file checked against its hash. First: it changes less often than the code.
# With `--build-arg REQUIREMENTS=requirements-traces.lock` also what `watcher.traces` needs.
ARG REQUIREMENTS=requirements.lock
COPY requirements.lock requirements-traces.lock ./
RUN python -m venv --without-pip /opt/librechat-watcher \
    && pip --python /opt/librechat-watcher/bin/python install --require-hashes --requirement "${REQUIREMENTS}"

# The build backend, as pinned for development. A dependency that this list lacks ends the build: it has no hash.
COPY requirements-dev.lock ./
RUN awk '/^[a-z]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
        requirements-dev.lock > build.lock \
    && pip install --require-hashes --requirement build.lock

COPY pyproject.toml README.md CHANGELOG.md ./
COPY watcher watcher
COPY mappings mappings
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && pip --python /opt/librechat-watcher/bin/python install --no-deps --no-index wheels/*.whl \
    && /opt/librechat-watcher/bin/librechat-watcher mappings test


FROM python:3.13-slim
LABEL org.opencontainers.image.title="librechat-watcher" \
      org.opencontainers.image.description="Webhooks for an unmodified LibreChat" \
      org.opencontainers.image.licenses="Apache-2.0"

# pip goes. The state's folder belongs to the user: a new named volume takes owner and mode from it.
# The certificates are the base image's; without them no receiver could be trusted, so better no image.
RUN rm -rf /usr/local/lib/python3.13/site-packages/pip* /usr/local/lib/python3.13/ensurepip /usr/local/bin/pip* \
    && groupadd --gid 10001 watcher \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin watcher \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/librechat-watcher \
    && test -s /etc/ssl/certs/ca-certificates.crt
COPY --from=build /opt/librechat-watcher /opt/librechat-watcher

# All addresses: probes and Prometheus come from outside. Without a token, health and metrics are all there is.
ENV PATH=/opt/librechat-watcher/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    WATCHER_STATE=sqlite:///var/lib/librechat-watcher/state.db \
    WATCHER_HTTP=0.0.0.0:8686 \
    WATCHER_LOG=json

# A `webhooks.yaml` mounted here is found without being named.
WORKDIR /etc/librechat-watcher
USER 10001:10001
EXPOSE 8686

# No VOLUME: an anonymous one would hide that the state is thrown away with the container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-m", "watcher.admin.healthcheck"]
ENTRYPOINT ["librechat-watcher"]
CMD ["run"]
