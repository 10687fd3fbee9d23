# The image of all Backtape processes; which one runs is the command: backtape worker, projector, compactor, web, db upgrade.
FROM python:3.11-slim AS builder

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
RUN python -m venv /opt/backtape
ENV PATH=/opt/backtape/bin:$PATH

# What changes rarely comes first, in a layer of its own: the pinned packages.
COPY pyproject.toml constraints.txt ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; print(*p['dependencies'], *p['optional-dependencies']['web'], sep='\n')" > requirements.txt \
    && pip install -c constraints.txt -r requirements.txt
COPY . .
RUN pip install -c constraints.txt --no-deps .


FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /var/lib/backtape --create-home backtape \
    && install -d -o backtape -g backtape /var/cache/backtape
COPY --from=builder /opt/backtape /opt/backtape
# The installed code is not writable for its user: numba keeps what it compiles, and matplotlib its fonts, in the cache volume.
ENV PATH=/opt/backtape/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CACHE_DIR=/var/cache/backtape/numba \
    MPLCONFIGDIR=/var/cache/backtape/matplotlib
USER backtape
WORKDIR /var/lib/backtape
CMD ["backtape", "--help"]
