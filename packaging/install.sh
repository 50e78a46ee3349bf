#!/bin/sh
# Installs a build for another machine:  install.sh BUILT DESTDIR PREFIX [LIBDIR]
#
# BUILT is cargo's folder with libcrossfoot.so, libcrossfoot.a or both, and perhaps the command. DESTDIR stands for the
# root. LIBDIR is below PREFIX, lib by default. The tree is that of `cargo xtask install`, without the command's manual
# pages, which the command itself would have to print. OBJCOPY names the objcopy of the machine.
set -eu

[ $# -ge 3 ] || { echo "usage: install.sh BUILT DESTDIR PREFIX [LIBDIR]" >&2; exit 2; }
built=$1 destdir=$2 prefix=$3 libdir=${4:-lib}
sources=$(cd "$(dirname "$0")/.." && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$sources/Cargo.toml" | head -n 1)
root=$destdir$prefix
# From LIBDIR to PREFIX.
up=$(echo "$libdir" | sed 's,[^/][^/]*,..,g')

# put MODE FROM TO: copies a file, TO below PREFIX.
put() {
    mkdir -p "$root/$(dirname "$3")"
    rm -f "$root/$3"
    cp "$2" "$root/$3"
    chmod "$1" "$root/$3"
}

# fill FROM TO: copies a file of the sources, with its placeholders filled in.
fill() {
    mkdir -p "$root/$(dirname "$2")"
    sed -e "s,@PREFIX@,$prefix,g" -e "s,@VERSION@,$version,g" -e "s,@LIBDIR@,$libdir,g" -e "s,@UP@,$up,g" \
        -e "s,@POINTER_SIZE@,$pointer,g" "$sources/$1" >"$root/$2"
    chmod 644 "$root/$2"
}

pointer=8
found=
if [ -f "$built/libcrossfoot.so" ]; then
    found=y
    put 755 "$built/libcrossfoot.so" "$libdir/libcrossfoot.so.0"
    ln -sf libcrossfoot.so.0 "$root/$libdir/libcrossfoot.so"
    # The class of an ELF file: 1 for 32 bits, 2 for 64.
    [ "$(od -An -tu1 -j4 -N1 "$built/libcrossfoot.so" | tr -d ' ')" != 1 ] || pointer=4
fi
if [ -f "$built/libcrossfoot.a" ]; then
    found=y
    put 644 "$built/libcrossfoot.a" "$libdir/libcrossfoot.a"
    # A program may then replace C++'s operators and be linked with the archive.
    "${OBJCOPY:-objcopy}" --wildcard --weaken-symbol='_Zn[aw]*' --weaken-symbol='_Zd[al]*' "$root/$libdir/libcrossfoot.a"
fi
[ -n "$found" ] || { echo "install.sh: $built has neither libcrossfoot.so nor libcrossfoot.a" >&2; exit 1; }
if [ -f "$built/crossfoot" ]; then
    if [ "$libdir" = lib ]; then
        put 755 "$built/crossfoot" bin/crossfoot
    else
        # The command looks for the object beside itself or in ../lib.
        put 755 "$built/crossfoot" "$libdir/crossfoot/crossfoot"
        ln -sf ../libcrossfoot.so.0 "$root/$libdir/crossfoot/libcrossfoot.so"
        mkdir -p "$root/bin"
        ln -sf "../$libdir/crossfoot/crossfoot" "$root/bin/crossfoot"
    fi
fi
fill preload/crossfoot.pc.in "$libdir/pkgconfig/crossfoot.pc"
fill preload/crossfoot-config.cmake.in "$libdir/cmake/crossfoot/crossfoot-config.cmake"
fill preload/crossfoot-config-version.cmake.in "$libdir/cmake/crossfoot/crossfoot-config-version.cmake"
fill preload/man/crossfoot.3 share/man/man3/crossfoot.3
for header in "$sources"/preload/include/*.h; do
    put 644 "$header" "include/$(basename "$header")"
done
for document in README.md CHANGELOG.md SECURITY.md LICENSE-APACHE LICENSE-MIT docs/c-surface.md docs/guide.md docs/books.md; do
    put 644 "$sources/$document" "share/doc/crossfoot/$document"
done
