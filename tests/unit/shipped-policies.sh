#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# shipped-policies.sh REVSHELLCTL DIR: the policies load without a word, here and with Tetragon.
set -eu

out=$("$1" policy check --offline --tetragon "$2")
printf '%s\n' "$out"
n=$(find "$2" -maxdepth 1 -name '*.yaml' | wc -l)
# The sum and nothing before it: no warning.
[ "$out" = "$2: $n policies, no error" ]
# Each says what it is for, starts as a mere report, and is installed.
for file in "$2"/*.yaml; do
	grep -q '^    revshell.org/description: .' "$file"
	sed -n '/^  - name: policy-mode$/{n;p;}' "$file" | grep -qx '    value: monitor'
	grep -q "'${file##*/}'" "$2/meson.build"
done
# Those that an administrator copies load as well, and start as mere reports too.
for file in "$2"/strict/*.yaml; do
	out=$("$1" policy check --offline "$file")
	[ "$out" = "$file: 1 policy, no error" ]
	sed -n '/^  - name: policy-mode$/{n;p;}' "$file" | grep -qx '    value: monitor'
	grep -q "'strict/${file##*/}'" "$2/meson.build"
done
