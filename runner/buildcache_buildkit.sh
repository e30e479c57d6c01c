#!/bin/sh
# buildctl-daemonless.sh for jobs, with a directory that outlives them. It is
# found before the image's own, and becomes that one where it has nothing to
# do: no limit is set, root, or the caller chose a directory.
#
# The volume belongs to one project and one of the runner's slots. In it each
# daemon takes a directory that no other one holds. A daemon lives as long as
# its build, too short to tidy up by itself: the first call in a container does
# it where the volume takes more than HEPTA_BUILD_CACHE bytes.
set -eu

volume=/home/user/.local/share/buildkit
for dir in $(echo "$PATH" | tr ':' ' '); do
	real=$dir/buildctl-daemonless.sh
	[ ! -x "$real" ] || [ "$dir" = /usr/local/sbin ] || break
done
limit=${HEPTA_BUILD_CACHE:-0}
case "$limit" in *[!0-9]* | '') limit=0 ;; esac
case " ${BUILDKITD_FLAGS:-} " in *" --root"*) limit=0 ;; esac
if [ "$limit" = 0 ] || [ "$(id -u)" = 0 ] || [ ! -w "$volume" ]; then
	exec "$real" "$@"
fi

# What a build's other users own is theirs outside of its namespace, too.
inside() { rootlesskit "$@"; }
say() { echo "hepta: build cache: $*" >&2; }
over() { [ "$(inside du -skx "$volume" | cut -f 1)" -gt $((limit / 1024)) ]; }

# Whoever holds the lock of a directory is its only daemon. The kernel lets go
# of it when the last process that has it is dead.
n=0
while :; do
	data=$volume/$n
	mkdir -p "$data"
	exec 9>"$data.lock"
	! flock -n 9 || break
	say "another daemon still works in directory $n"
	n=$((n + 1))
done
export BUILDKITD_FLAGS="${BUILDKITD_FLAGS:-} --root $data"

anew() {
	say "$*, it begins anew"
	inside rm -rf "$data"
	mkdir "$data"
}

looked=/tmp/hepta-build-cache
if [ ! -e "$looked" ]; then
	: >"$looked"
	for other in "$volume"/[0-9]*; do
		if [ -d "$other" ] && [ "$other" != "$data" ]; then
			inside flock -n "$other.lock" rm -rf "$other" || true
		fi
	done
	if over; then
		say "it takes more than $((limit / 1048576)) MiB, what was not used of late goes"
		("$real" prune --all --keep-storage $((limit / 1000000 * 3 / 4)) >/dev/null 2>&1) && ! over || anew "that was not enough"
	fi
fi

code=0
"$real" "$@" || code=$?
if [ "$code" != 0 ] && ! "$real" debug workers >/dev/null 2>&1; then
	anew "no daemon starts with it"
	exec "$real" "$@"
fi
exit "$code"
