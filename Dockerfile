# The engine with the ready pipelines. A project of your own starts from this image and copies its
# actors/ and pipelines/ over ours.

FROM python:3.12-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /build && /build/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY engine engine
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.12-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements-run.lock /tmp/
RUN pip install --no-cache-dir --require-hashes -r /tmp/requirements-run.lock \
 && useradd --create-home --uid 10001 callboard
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir --no-deps /wheels/*.whl
WORKDIR /app
COPY actors actors
COPY pipelines pipelines
USER callboard
# SIGTERM drains: attempts end, the rest goes back to its queue.
STOPSIGNAL SIGTERM
ENTRYPOINT ["callboard"]
CMD ["worker"]
