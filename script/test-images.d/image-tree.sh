# Sourced by the recipes: unpacks Debian packages into a tree, without configuring them, and picks the few files that a
# server needs out of it into the root file system of an image. Sets `work` and, after `unpack`, `tree`.
# shellcheck shell=bash
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mirror=${SNAPVOL_DEBIAN_MIRROR:-http://deb.debian.org/debian}
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
work=$(mktemp -d "${TMPDIR:-/tmp}/snapvol-image.XXXXXX")
trap 'rm -rf "$work"' EXIT
tree=$work/tree

as_root() { if ((EUID == 0)); then "$@"; else sudo -n "$@"; fi; }

gnu_packages=(base-files bash coreutils dash findutils grep gzip hostname libc-bin mawk procps sed tar tzdata util-linux zstd)
gnu_programs=(
  '[' basename bash cat chgrp chmod chown cksum comm cp cut dash date dd df dirname du echo egrep
  env expr false fgrep find flock getent grep gunzip gzip head hostname id install kill ln locale ls
  mawk md5sum mkdir mkfifo mknod mktemp mountpoint mv nproc numfmt od paste pgrep pkill printf ps
  pwd readlink realpath rm rmdir sed seq setpriv setsid sha256sum shuf sleep sort split stat
  stty sync tac tail tar tee test timeout touch tr true truncate tty uname uniq wc whoami
  xargs zcat zstd zstdcat
)

# unpack SUITE PACKAGE...: into $tree, with all that they depend on.
unpack() {
  local suite=$1 link
  shift
  # Merged /usr from the start, so that every file has one path in every suite.
  # A development suite is not signed anew for ever: its date must not stop us.
  # shellcheck disable=SC2016 # for the inner shell
  as_root mmdebstrap --quiet --variant=extract \
    --include="$(IFS=,; echo "$*")" \
    --aptopt='Acquire::Check-Valid-Until "false"' \
    --setup-hook='cd "$1" && for d in bin sbin lib lib64; do mkdir -p usr/$d; ln -s usr/$d $d; done' \
    "$suite" "$tree" "deb [signed-by=$keyring] $mirror $suite main"
  as_root chown -R "$(id -u)" "$tree"
  # Absolute links must not lead out of the tree, into the host: least of all to its time zone.
  rm -f "$tree/usr/share/zoneinfo/localtime"
  find "$tree" -lname '/*' | while IFS= read -r link; do
    ln -sfn "$tree$(readlink "$link")" "$link"
  done
  loader=$(echo "$tree"/usr/lib/*-linux-gnu/ld-linux-*.so.*)
  lib_dir=$(dirname "$loader")
}

# run_in_tree PROGRAM [ARGUMENT]...: a program of the tree with the tree's own libraries, e.g. to ask its version.
run_in_tree() { "$loader" --library-path "$lib_dir" "$tree/$1" "${@:2}"; }

# keep ROOTFS PATH...: copies paths of the tree; what is a link there becomes a plain file.
keep() {
  local rootfs=$1
  shift
  (cd "$tree" && cp --recursive --dereference --preserve=mode --parents "$@" "$rootfs")
}

# base_rootfs ROOTFS USER UID HOME: the folders, users and groups of a small system.
base_rootfs() {
  local rootfs=$1 user=$2 uid=$3 home=$4 link
  mkdir -p "$rootfs"/{dev,etc,proc,root,run,sys,tmp} "$rootfs"/usr/{bin,sbin,lib,lib64,local/bin} \
    "$rootfs"/var/{lib,log,tmp}
  chmod 1777 "$rootfs"/{tmp,var/tmp}
  chmod 700 "$rootfs/root"
  for link in bin sbin lib lib64; do ln -s "usr/$link" "$rootfs/$link"; done
  ln -s /run "$rootfs/var/run"
  ln -s /usr/share/zoneinfo/Etc/UTC "$rootfs/etc/localtime"
  keep "$rootfs" usr/share/zoneinfo usr/lib/locale/C.utf8 etc/os-release
  cat >"$rootfs/etc/passwd" <<PASSWD
root:x:0:0:root:/root:/bin/sh
$user:x:$uid:$uid:$user:$home:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
PASSWD
  cat >"$rootfs/etc/group" <<GROUP
root:x:0:
tty:x:5:
$user:x:$uid:
nogroup:x:65534:
GROUP
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$rootfs/etc/nsswitch.conf"
}

userland_gnu() { # ROOTFS
  keep "$1" "${gnu_programs[@]/#/usr/bin/}"
  ln -s dash "$1/usr/bin/sh"
  ln -s mawk "$1/usr/bin/awk"
}

userland_busybox() { # ROOTFS
  local applet
  keep "$1" usr/bin/busybox
  for applet in $("$tree/usr/bin/busybox" --list); do
    [[ $applet == busybox ]] || ln -s busybox "$1/usr/bin/$applet"
  done
}

# The shared libraries that the given files need, as paths. The tree's own loader answers, so neither
# chroot nor the host's libraries take part.
libraries_of() {
  local file
  for file; do
    "$loader" --inhibit-cache --library-path "$lib_dir" --list "$file"
  done | awk '/not found/ { print "missing library:" $0 > "/dev/stderr"; bad = 1 }
              $2 == "=>" && $3 ~ /^\// { print $3 } END { exit bad }' | grep -v /ld-linux- | sort -u
}

# keep_libraries ROOTFS: all at once, when all programs are there; and the loader.
keep_libraries() {
  local rootfs=$1 link
  local -a files
  # Not scripts, and not busybox: it is static, and crashes the loader.
  mapfile -t files < <(find "$rootfs/usr" -type f ! -name busybox \( -perm -100 -o -name '*.so*' \) \
    -exec env LC_ALL=C grep -lP '\A\x7fELF' {} +)
  libraries_of "${files[@]}" >"$work/libraries"
  sed -i "s|^$tree/||" "$work/libraries"
  mapfile -t files <"$work/libraries"
  keep "$rootfs" "${files[@]}"
  # Where programs look for it (lib64 on amd64, lib on arm64).
  for link in "$tree"/usr/lib/ld-linux-* "$tree"/usr/lib64/ld-linux-*; do
    if [[ -L $link ]]; then cp "$loader" "$rootfs/${link#"$tree/"}"; fi
  done
}

# image_labels: the object of labels for config.json.
image_labels() { printf '{"%s": "%s"}' "${SNAPVOL_IMAGE_LABEL%%=*}" "${SNAPVOL_IMAGE_LABEL#*=}"; }
default_path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
