# SPDX-License-Identifier: LGPL-2.1-or-later
# For tests whose checks are made by a program: it prints the same "ok: " and "not ok: " lines.
# shellcheck shell=bash

# run_checks PROGRAM ARGS...: counts the program's lines; shows its figures, which begin with "#".
run_checks() {
	local status=0 line

	"$@" >"$T/checks" 2>"$T/checks.err" || status=$?
	while IFS= read -r line; do
		case $line in
		'ok: '*) ok "${line#ok: }" ;;
		'not ok: '*) fail "${line#not ok: }" ;;
		*) printf '%s\n' "$line" ;;
		esac
	done <"$T/checks"
	if [ "$status" -ne 0 ]; then
		sed 's/^/  | /' "$T/checks.err"
		fail "it ends well (status $status: $*)"
	fi
}
