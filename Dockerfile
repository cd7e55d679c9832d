# a3crepro on the CPU, with the DeepMind Control Suite drawn without a screen. How to build and run it: docs/install.md.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install --yes --no-install-recommends libegl1 libegl-mesa0 libgl1-mesa-dri libopengl0 \
    && rm -rf /var/lib/apt/lists/*

# Without the CUDA libraries, which take several GB
RUN pip install --no-cache-dir "torch==2.13.*" --index-url https://download.pytorch.org/whl/cpu

COPY pyproject.toml README.md LICENSE /source/
COPY a3crepro /source/a3crepro
COPY conf /source/conf
COPY hydra_plugins /source/hydra_plugins
# There is no git here to ask for the version
ARG VERSION=0.1.dev0
RUN SETUPTOOLS_SCM_PRETEND_VERSION=$VERSION \
    pip install --no-cache-dir "/source[control,local,search]" \
    && rm -r /source

RUN useradd --create-home --uid 1000 a3crepro \
    && install --directory --owner=a3crepro --group=a3crepro /data
USER a3crepro
WORKDIR /data

# Else every container would compile them: some 15 seconds
RUN python -c "from a3crepro.common.kernels import compile_all; compile_all()"

ENTRYPOINT ["a3crepro"]
CMD ["--help"]
