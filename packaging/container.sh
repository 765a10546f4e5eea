#!/bin/sh
# Installs the wheel in DIST into a container of Debian 13, from Dockerfile and abaw.def: into /opt/abaw, `abaw` on the PATH.
#   container.sh DIST cpu|cuda
# Of PyTorch only libtorch is kept, and of what it requires only NVIDIA's libraries: a quarter less.
set -eu
apt-get -qq update
apt-get -qq -y --no-install-recommends install python3 python3-venv >/dev/null
rm -rf /var/lib/apt/lists/*
python3 -m venv /opt/abaw
pip="/opt/abaw/bin/pip install --quiet --no-cache-dir --no-compile"
case $2 in
  cpu) $pip --no-deps "$1"/abaw-*manylinux*.whl torch==2.13.0 nvidia-cuda-runtime==13.0.96 nvidia-cuda-cupti==13.0.85 ;;
  cuda) $pip "$1"/abaw-*manylinux*.whl ;;
  *) echo "container.sh: cpu or cuda, not '$2'" >&2; exit 2 ;;
esac
cd /opt/abaw/lib/python3*/site-packages
find torch -mindepth 1 -maxdepth 1 ! -name lib ! -name version.py ! -name __init__.py -exec rm -rf {} +
rm -rf torch/lib/libtorch_python.so triton functorch torchgen torch/lib/*.a
ln -s /opt/abaw/bin/abaw /usr/local/bin/abaw
abaw doctor
