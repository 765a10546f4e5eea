# The wheel of `make dist` in Debian 13. A GPU's libtorch: --build-arg SET=cuda
#   docker build -t abaw . && docker run --rm -v "$PWD:/data" -u "$(id -u):$(id -g)" abaw annotate videos --out runs/mine
#   with a GPU: docker run --rm --gpus all ...
FROM debian:13-slim
ARG SET=cpu
RUN --mount=type=bind,target=/abaw /abaw/packaging/container.sh /abaw/dist "$SET"
RUN useradd --create-home abaw
USER abaw
WORKDIR /data
ENTRYPOINT ["abaw"]
CMD ["--help"]
