#!/usr/bin/env bash
# Builds the wheel's own libav, in the root that the wheel is built in: FFmpeg and OpenH264 from the Debian source packages in
# SOURCES, into PREFIX. Only what the program reads and writes, and only parts under LGPL-2.1+ and BSD licences.
#   libav.sh SOURCES PREFIX
set -euo pipefail
sources=$1 prefix=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jobs=$(nproc)

# A Debian source package is the authors' tar file and one with Debian's patches.
unpack() {
  mkdir "$work/$1"
  tar -xf "$sources/$1"_*.orig.tar.xz -C "$work/$1" --strip-components=1
  tar -xf "$sources/$1"_*.debian.tar.xz -C "$work/$1"
  cd "$work/$1"
  local patch
  while read -r patch; do
    patch -p1 --quiet <"debian/patches/$patch"
  done < <(grep -v -e '^#' -e '^$' debian/patches/series 2>/dev/null || true)
}

# H.264 for `abaw render`: browsers play it, and OpenH264 (BSD) keeps the wheel free of x264's GPL. Static, so that it is
# part of libavcodec.
unpack openh264
make -j"$jobs" PREFIX="$prefix" libraries >"$prefix.log" 2>&1
make PREFIX="$prefix" install-static >>"$prefix.log" 2>&1

# High dynamic range, by the filter zscale. Debian 11 has no zimg.
unpack zimg
{
  ./autogen.sh
  ./configure --prefix="$prefix" --disable-shared --enable-static --with-pic STL_LIBS="-lstdc++ -lm"
  make -j"$jobs"
  make install
} >>"$prefix.log" 2>&1

unpack ffmpeg
PKG_CONFIG_PATH=$prefix/lib/pkgconfig ./configure --prefix="$prefix" --enable-shared --disable-static \
  --pkg-config-flags=--static --disable-programs --disable-doc --disable-debug --disable-autodetect --disable-network \
  --disable-avdevice --disable-postproc --disable-filters --enable-filter=bwdif,zscale,tonemap,format,scale \
  --disable-encoders --enable-encoder=libopenh264,aac --disable-muxers --enable-muxer=mp4 \
  --disable-protocols --enable-protocol=file \
  --enable-libopenh264 --enable-libdav1d --enable-libzimg --enable-zlib >>"$prefix.log" 2>&1
make -j"$jobs" >>"$prefix.log" 2>&1
make install >>"$prefix.log" 2>&1

mkdir -p "$prefix/licenses"
cp COPYING.LGPLv2.1 "$prefix/licenses/FFmpeg-LGPL-2.1.txt"
cp LICENSE.md "$prefix/licenses/FFmpeg.md"
cp "$work/openh264/LICENSE" "$prefix/licenses/OpenH264.txt"
cp /usr/share/doc/libdav1d4/copyright "$prefix/licenses/dav1d.txt"
cp "$work/zimg/COPYING" "$prefix/licenses/zimg.txt"
cp "$(ldconfig -p | sed -n 's/.*libdav1d\.so\.4 .*=> //p' | head -n 1)" "$prefix/lib/"
