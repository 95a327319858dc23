# The image of api, projector and migrate: the same program, another command. It holds no secret and no data.
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
ENV PIP_NO_CACHE_DIR=1 PIP_NO_DEPS=1 PIP_ONLY_BINARY=:all: PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock requirements-dev.lock ./
RUN python -m venv /opt/cardledger && /opt/cardledger/bin/pip install --require-hashes -r requirements.lock
RUN python -m venv /opt/build && /opt/build/bin/pip install --require-hashes -r requirements-dev.lock
COPY pyproject.toml LICENSE ./
COPY ledger ledger
COPY api api
RUN /opt/build/bin/pip wheel --no-build-isolation --no-index --wheel-dir /wheels . \
 && /opt/cardledger/bin/pip install --no-index /wheels/cardledger-*.whl

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/cardledger cardledger
COPY --from=build /opt/cardledger /opt/cardledger
ENV PATH="/opt/cardledger/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CARDLEDGER_HOST=0.0.0.0 \
    CARDLEDGER_DATA=/var/lib/cardledger
USER cardledger
WORKDIR /var/lib/cardledger
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=3s --start-period=15s CMD ["cardledger", "health", "--host", "127.0.0.1"]
ENTRYPOINT ["cardledger"]
CMD ["serve"]
