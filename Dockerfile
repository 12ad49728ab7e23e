# One image for every process of the house. The base is chosen by PYTHON_IMAGE (any Debian-like image with Python 3.11 to
# 3.13 as `python3`, with venv). Every package is checked against the hashes of the lock files; all come as wheels, so no
# stage has a compiler, and the embedding model is one of those packages.
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PIP_ONLY_BINARY=:all:
RUN python3 -m venv /opt/alexandria/python
COPY requirements.lock requirements-build.lock /opt/alexandria/source/
WORKDIR /opt/alexandria/source
RUN /opt/alexandria/python/bin/pip install --quiet --require-hashes -r requirements.lock -r requirements-build.lock
COPY pyproject.toml README.md LICENSE ./
COPY migrations ./migrations
COPY app ./app
RUN /opt/alexandria/python/bin/pip install --quiet --no-deps --no-build-isolation --no-index --editable . \
    && /opt/alexandria/python/bin/pip uninstall --quiet --yes setuptools pip \
    && /opt/alexandria/python/bin/python -m compileall -q app migrations

FROM ${PYTHON_IMAGE}
RUN groupadd --gid 10001 alexandria \
    && useradd --uid 10001 --gid alexandria --home-dir /var/lib/alexandria --create-home alexandria
COPY --from=build /opt/alexandria /opt/alexandria
COPY setup/container_health.sh /usr/local/bin/healthy
ENV PATH=/opt/alexandria/python/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    API_HOST=0.0.0.0 \
    DATA_DIR=/var/lib/alexandria \
    ALIVE_FILE=/var/lib/alexandria/alive \
    LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/alexandria
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["healthy", "http", "8000", "/readyz"]
ENTRYPOINT ["alexandria"]
CMD ["api"]
