#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Installs the Debian packages that building and testing need and that are not there yet.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<-END
	Usage: tools/deps.sh [--check] [build|test|vm|package|vng|plot]...

	No group means all but vng, which is for tools/vm --vng, and plot, for tools/bench --matrix. --check only says what is missing (as it
	does without root).
	END
}

declare -A groups=(
	[build]='clang-14 llvm-14 gcc libc6-dev bpftool libbpf-dev libelf-dev libcap-dev libseccomp-dev
		libyaml-dev libsystemd-dev libjansson-dev libsmartcols-dev uthash-dev meson ninja-build
		pkg-config scdoc git'
	[test]='libclang-rt-14-dev clang-tidy-14 clang-format-14 libcmocka-dev jq dbus polkitd python3 perl systemd'
	[vm]='qemu-system-x86 qemu-system-data busybox-static kmod xz-utils zstd debian-archive-keyring
		iproute2 procps netcat-openbsd netcat-traditional tcpdump socat dbus systemd python3 perl'
	[package]='debhelper dpkg-dev'
	[plot]='gnuplot-nox'
	[vng]='qemu-system-x86 busybox-static udev debian-archive-keyring virtme-ng'
)

check=
wanted=()
for arg; do
	case $arg in
	--check) check=1 ;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		[ -n "${groups[$arg]:-}" ] || die "no group is called '$arg': build, test, vm, package, vng or plot"
		wanted+=("$arg")
		;;
	esac
done
[ "${#wanted[@]}" -gt 0 ] || wanted=(build test vm package)

missing=()
for group in "${wanted[@]}"; do
	for package in ${groups[$group]}; do
		case $(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null || true) in
		?i*) ;;
		*) missing+=("$package") ;;
		esac
	done
done
[ "${#missing[@]}" -gt 0 ] || exit 0
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

if [ -n "$check" ] || [ "$(id -u)" -ne 0 ]; then
	die "missing: ${missing[*]}"
fi
say "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "${missing[@]}" </dev/null >"$log" 2>&1
}

# Debian 12 has no virtme-ng. That of the next release is a package of Python files, which installs with
# what Debian 12 has: it is fetched like a kernel, without a word about that release in apt's sources.
fetch_vng() {
	local i

	rm -rf "$cache/virtme-ng"
	mkdir -p "$cache/virtme-ng"
	suite_update trixie
	(cd "$cache/virtme-ng" && suite_apt trixie apt-get download virtme-ng >"$log" 2>&1) || {
		cat "$log" >&2
		die "cannot download virtme-ng"
	}
	for i in "${!missing[@]}"; do
		[ "${missing[$i]}" != virtme-ng ] || missing[i]=$(printf '%s\n' "$cache"/virtme-ng/*.deb)
	done
}
if [[ " ${missing[*]} " == *' virtme-ng '* ]] &&
	! apt-cache policy virtme-ng | grep -q '^ *Candidate: [0-9]'; then
	fetch_vng
fi
# Old lists name files that the mirror has replaced since, so one failure is worth an update.
install || { apt-get update -q -o Acquire::Retries=3 >>"$log" 2>&1 && install; } || {
	cat "$log" >&2
	die "cannot install: ${missing[*]}"
}
