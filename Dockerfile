# One image for the operator, the API and the init container of runs. BASE is any image with Python 3.11 or newer, venv and pip.
ARG BASE=python:3.13-slim
FROM ${BASE} AS build
COPY requirements.txt /src/
# The locked set first: it changes rarely, and its layer is most of the image.
RUN python3 -m venv /opt/opstrand && /opt/opstrand/bin/pip install --no-cache-dir --require-hashes -r /src/requirements.txt
COPY pyproject.toml README.md LICENSE /src/
COPY operator /src/operator
RUN /opt/opstrand/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src && \
    /opt/opstrand/bin/python -m compileall -q /opt/opstrand

FROM ${BASE}
COPY --from=build /opt/opstrand /opt/opstrand
ENV PATH=/opt/opstrand/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
CMD ["opstrand", "--help"]
