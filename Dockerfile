# One image for the operator, the API and the init container of runs. BASE is any image with Python
# 3.11 or newer, venv and pip. It is pinned, because the owner of a tag can move it; the digest of
# today is what `docker buildx imagetools inspect python:3.13-slim` shows.
ARG BASE=python:3.13-slim@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285
FROM ${BASE} AS dependencies
COPY requirements.txt /src/
# The locked packages have their own stage: they change rarely, and are most of the image.
RUN python3 -m venv /opt/opstrand && \
    /opt/opstrand/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.txt && \
    /opt/opstrand/bin/python -m compileall -q /opt/opstrand/lib

FROM ${BASE}
# Programs of the git init steps. libnss-wrapper gives a name to the user of the Pod, without which
# ssh refuses to start.
RUN command -v git && command -v ssh || { \
      apt-get update && apt-get install -y --no-install-recommends git openssh-client libnss-wrapper && rm -rf /var/lib/apt/lists/*; }
COPY --from=dependencies /opt/opstrand /opt/opstrand
COPY pyproject.toml README.md LICENSE /src/
COPY operator /src/operator
RUN /opt/opstrand/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src && rm -rf /src
ENV PATH=/opt/opstrand/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
CMD ["opstrand", "--help"]
