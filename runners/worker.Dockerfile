# An image for workers of Dataflow, and of any engine that takes containers: Beam's own, with this package in it.
#
#   python -m pip wheel --no-deps --wheel-dir dist .
#   docker build -f runners/worker.Dockerfile -t REGION-docker.pkg.dev/PROJECT/REPOSITORY/aurora-ingest:0.1.0 .
#   docker push REGION-docker.pkg.dev/PROJECT/REPOSITORY/aurora-ingest:0.1.0
#
# The minor version of Python is that of whoever submits: steps are pickled. Beam's version is that of pyproject.toml.
ARG PYTHON=3.11
ARG BEAM=2.77.0
FROM apache/beam_python${PYTHON}_sdk:${BEAM}
COPY dist/*.whl /tmp/wheels/
RUN pip install --no-cache-dir "$(ls /tmp/wheels/aurora_ingest-*.whl)[gcp,s3]" && rm -r /tmp/wheels \
    && python -c "import aurora_ingest._kernel"
# Beam's image has its boot program as the entry point; it stays.
