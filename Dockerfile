FROM python:3.11.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 \
    DATA_DIR=/data LOG_FORMAT=json STATIC_ROOT=/app/collected
WORKDIR /app

# The lock changes rarely: its layer is kept when only the code changes.
COPY requirements/base.lock requirements/base.lock
RUN pip install --require-hashes -r requirements/base.lock

RUN useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin opamp \
    && install -d -o opamp -g opamp -m 700 /data
COPY . .
RUN python -m compileall -q . && DATA_DIR=/tmp/build python manage.py collectstatic --noinput && rm -rf /tmp/build

USER opamp
VOLUME /data
EXPOSE 8080 4320
# Start-up migrates first, which takes a while on an old database.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, ssl, urllib.request as r; s = 's' if os.environ.get('TLS_CERT') else ''; r.urlopen(f'http{s}://127.0.0.1:8080/health/live', timeout=4, context=ssl._create_unverified_context())"]
STOPSIGNAL SIGTERM
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "8080"]
