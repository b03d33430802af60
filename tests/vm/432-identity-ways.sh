#!/usr/bin/env bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Ways to be another program: what a list of forbidden paths misses, a list of all but a few catches.
# timeout: 800
# pins: shared
. "$(dirname "$0")/lib.sh"

mkdir -p "$T/bin" "$T/opt"
allowed=$T/opt/allowed target=$T/bin/target intruder=$T/bin/intruder
for file in "$allowed" "$target" "$intruder"; do
	cp "$PROBE" "$file"
done
python=$(readlink -f /usr/bin/python3)
loader=$(readlink -f /lib64/ld-linux-x86-64.so.2)
listener 4444 "$T/got"
chmod 755 "$T" "$T/bin" "$T/opt"

connect=(tcp4 connect 127.0.0.1 4444)
in_python='import socket, sys
try:
    socket.create_connection(("127.0.0.1", 4444))
except PermissionError:
    sys.exit(1)'
by_shell='exec 3<>/dev/tcp/127.0.0.1/4444'

# Each way runs what has the target's content, or does its work, under another identity: 0 connected, 1 refused.
way() {
	case $1 in
	copy) cp "$target" "$T/bin/copy" && "$T/bin/copy" --quiet "${connect[@]}" ;;
	hard-link) ln -f "$target" "$T/bin/link" && "$T/bin/link" --quiet "${connect[@]}" ;;
	renamed) cp "$target" "$T/bin/new" && mv "$T/bin/new" "$T/bin/renamed" && "$T/bin/renamed" --quiet "${connect[@]}" ;;
	memfd)
		"$python" -S -E -c 'import os, sys
fd = os.memfd_create("x")
os.write(fd, open(sys.argv[1], "rb").read())
os.execve(fd, ["x"] + sys.argv[2:], {})' "$target" --quiet "${connect[@]}"
		;;
	bind-mount)
		unshare -m bash -c 'mount --make-rprivate / && mount --bind "$0" /usr/bin/true && exec /usr/bin/true "$@"' \
			"$target" --quiet "${connect[@]}"
		;;
	overlay)
		mkdir -p "$T/work" "$T/upper" "$T/merged"
		unshare -m bash -c 'mount --make-rprivate / && mount -t tmpfs none "$1" && mkdir "$1/lower" "$1/upper" "$1/work" "$1/all" &&
			cp "$0" "$1/lower/x" && mount -t overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" none "$1/all" &&
			exec "$1/all/x" --quiet tcp4 connect 127.0.0.1 4444' "$target" "$T/work"
		;;
	chroot) mkdir -p "$T/root" && cp "$target" "$T/root/target" && chroot "$T/root" /target --quiet "${connect[@]}" ;;
	loader) "$loader" "$python" -S -E -c "$in_python" ;;
	interpreter) "$python" -S -E -c "$in_python" ;;
	shell) bash -c "$by_shell" 2>/dev/null ;;
	busybox) echo | busybox nc -w 2 127.0.0.1 4444 >/dev/null 2>&1 ;;
	esac
}
ways=(copy hard-link renamed memfd bind-mount overlay chroot loader interpreter shell busybox)
try_all() {
	local name status

	for name in "${ways[@]}"; do
		status=0
		way "$name" || status=$?
		printf '%s %s\n' "$name" "$status"
	done
}

# What stays the target, however it is started.
same() {
	case $1 in
	symlink) ln -sf "$target" "$T/bin/symlink" && "$T/bin/symlink" --quiet "${connect[@]}" ;;
	descriptor) "$python" -S -E -c 'import os, sys
os.execve(os.open(sys.argv[1], os.O_RDONLY), sys.argv[1:], {})' "$target" --quiet "${connect[@]}" ;;
	argv) (exec -a innocent "$target" --quiet "${connect[@]}") ;;
	double-fork) bash -c '(setsid "$@" & wait $!)' - "$target" --quiet "${connect[@]}" ;;
	script)
		printf '#!%s --quiet\n' "$target" >"$T/bin/script"
		chmod 755 "$T/bin/script"
		# the interpreter is what runs; it takes the script's name for a protocol and says so
		"$T/bin/script" 2>/dev/null
		[ $? = 2 ]
		;;
	esac
}

# list IN-OR-NOTIN PATHS
list() {
	policy list.yaml <<-END
		apiVersion: cilium.io/v1alpha1
		kind: TracingPolicy
		metadata:
		  name: list
		spec:
		  kprobes:
		  - call: security_socket_connect
		    syscall: false
		    args: [{index: 0, type: socket}, {index: 1, type: sockaddr}]
		    selectors:
		    - matchBinaries: [{operator: $1, values: [$2]}]
		      matchArgs: [{index: 1, operator: SPort, values: ["4444"]}]
		      matchActions: [{action: Override, argError: -1}]
	END
}

check_equal 'without the daemon each way connects' "$(printf '%s 0\n' "${ways[@]}")" "$(try_all)"
list In "\"$target\", /usr/bin/nc, /usr/bin/nc.traditional"
marker_policy
start_daemon "$T/policies" || exit 1
follow_events
enforce on

PROBE=$target check_denied 'a forbidden program is refused' "${connect[@]}"
for name in symlink descriptor argv double-fork; do
	check_status "and is so as $name" 1 same "$name"
done
check 'a script is its interpreter' same script
# The limit of such a list, as SECURITY.md says: these are other names.
check_equal 'under another name it is not found' "$(printf '%s 0\n' "${ways[@]}")" "$(try_all)"
new_events >/dev/null

list NotIn "\"$allowed\", \"$T/bin/listener\", \"$T/bin/marker\""
reload
PROBE=$allowed check_allowed 'all but a few: who is listed may' "${connect[@]}"
check_equal 'all but a few: no other way does' "$(printf '%s 1\n' "${ways[@]}")" "$(try_all)"
new_events '.process_kprobe | "\(.function_name) \(.verdict) \(.errno)"' >"$T/lines"
check_equal 'all but a few: each is reported' "${#ways[@]} security_socket_connect denied EPERM" \
	"$(sort "$T/lines" | uniq -c | sed 's/^ *//')"

# To look like the listed one: another file where its path is, for those who can see that.
over() {
	case $1 in
	bind-mount) unshare -m bash -c 'mount --make-rprivate / && mount --bind "$0" "$1" && exec "$1" --quiet "${@:2}"' \
		"$intruder" "$allowed" "${connect[@]}" ;;
	user-namespace)
		setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm bash -c \
			'mount --bind "$0" "$1" && exec "$1" --quiet "${@:2}"' "$intruder" "$allowed" "${connect[@]}"
		;;
	overlay)
		unshare -m bash -c 'mount --make-rprivate / && mount -t tmpfs none "$2" && mkdir "$2/low" "$2/up" "$2/work" && cp "$0" "$2/low/allowed" &&
			mount -t overlay -o "lowerdir=$2/low,upperdir=$2/up,workdir=$2/work" none "${1%/*}" && exec "$1" --quiet tcp4 connect 127.0.0.1 4444' \
			"$intruder" "$allowed" "$T/work"
		;;
	chroot) mkdir -p "$T/root$T/opt" && cp "$intruder" "$T/root$allowed" && chroot "$T/root" "$allowed" --quiet "${connect[@]}" ;;
	pivot-root)
		unshare -m bash -c 'mount --make-rprivate / && mount -t tmpfs none "$2" && mkdir -p "$2${1%/*}" "$2/old" && cp "$0" "$2$1" &&
			cd "$2" && pivot_root . old && exec "$1" --quiet tcp4 connect 127.0.0.1 4444' "$intruder" "$allowed" "$T/work"
		;;
	esac
}
enforce off
for name in bind-mount user-namespace overlay chroot pivot-root; do
	check_status "monitoring: $name over the listed path connects" 0 over "$name"
done
enforce on
for name in bind-mount user-namespace overlay chroot pivot-root; do
	check_status "$name over the listed path is refused" 1 over "$name"
done

# A process number that has been another's. Somebody else may fork in between, and take it.
last=/proc/sys/kernel/ns_last_pid
for pair in "$allowed $intruder 1" "$intruder $allowed 0"; do
	read -r first then expected <<<"$pair"
	for ((i = 0; i < 20; i++)); do
		"$first" --quiet "${connect[@]}" &
		number=$!
		wait "$number"
		pause 0.2 # the listener has a process for each connection, which is to come before
		echo $((number - 1)) >"$last"
		"$then" --quiet "${connect[@]}" &
		again=$!
		status=0
		wait "$again" || status=$?
		[ "$again" != "$number" ] || break
	done
	check_equal "the number of ${first##*/} is given again" "$number" "$again"
	check_equal "a number that was ${first##*/}'s is ${then##*/}'s now" "$expected" "$status"
done
finish
