# SPDX-License-Identifier: LGPL-2.1-or-later
# What the tools share: the tree, the cache folder, and how they speak.
# shellcheck shell=bash disable=SC2034

tree=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
cache=${REVSHELL_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/revshell}
me=${0##*/}

say() {
	printf '%s: %s\n' "$me" "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# Prints the mirror that apt has for this machine's own release; nothing else here names a host.
mirror_uri() {
	local codename uri

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && printf '%s' "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016
	uri=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' \
		"Codename: $codename" 'Component: main' | sed -n 1p)
	# Where no list has been fetched yet, apt only knows what it would fetch first.
	[ -n "$uri" ] ||
		uri=$(apt-get --print-uris update | sed -n "s|^'\([^']*\)/dists/$codename/InRelease'.*|\1|p" | sed -n 1p)
	[ -n "$uri" ] || return 1
	printf '%s\n' "$uri"
}

# suite_apt SUITE TOOL ARGS...: an apt tool that sees this one suite and nothing of the host's sources.
# What it downloads is verified by Debian's archive keyring, as always.
suite_apt() {
	local suite=$1 tool=$2 dir=$cache/apt/$1

	shift 2
	"$tool" -q \
		-o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts=/dev/null \
		-o Dir::State::lists="$dir/lists" -o Dir::Cache="$dir/cache" \
		-o APT::Architecture=amd64 -o APT::Architectures::=amd64 -o APT::Sandbox::User= \
		-o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false \
		-o Acquire::Retries=3 "$@"
}

# suite_update SUITE: fetches the suite's list of packages into the cache folder.
suite_update() {
	local dir=$cache/apt/$1 uri

	uri=$(mirror_uri) || die "apt names no mirror of Debian's main component"
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	printf 'deb [arch=amd64 signed-by=%s] %s %s main\n' \
		/usr/share/keyrings/debian-archive-keyring.gpg "$uri" "$1" >"$dir/sources.list"
	suite_apt "$1" apt-get update >"$dir/update.log" 2>&1 || {
		cat "$dir/update.log" >&2
		die "cannot fetch the package list of $1"
	}
}
