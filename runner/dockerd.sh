#!/bin/sh
# dockerd for jobs, with what this host asks of a daemon and a data directory
# that outlives the job. It is found before the image's own dockerd.
#
# HEPTA_DOCKERD holds flags, which follow those of the job: of mirrors and
# insecure registries the daemon gets both, of anything else that of the job.
# What its configuration file has is left alone: a daemon refuses to be told
# twice.
#
# The directory is kept where HEPTA_BUILD_CACHE is more than 0, the caller is
# root and chose no directory. Then it is on a volume that belongs to one
# project and one of the runner's slots. In it each
# daemon takes a directory that no other one holds. Images and build cache
# stay; containers, volumes and networks of the last job go, and beyond
# HEPTA_BUILD_CACHE bytes everything that was not used of late.
set -eu

volume=/var/lib/docker
for dir in $(echo "$PATH" | tr ':' ' '); do
	real=$dir/dockerd
	[ ! -x "$real" ] || [ "$dir" = /usr/local/sbin ] || break
done

config=/etc/docker/daemon.json last=
for arg in "$@"; do
	case "$arg" in --config-file=*) config=${arg#*=} ;; esac
	[ "$last" != --config-file ] || config=$arg
	last=$arg
done
# configured KEY reports whether the configuration file has a key.
configured() { grep -qs "\"$1\"[[:space:]]*:" "$config"; }

own=" $* "
for flag in ${HEPTA_DOCKERD:-}; do
	case "$flag" in
	--mtu=*)
		case "$own" in *" --mtu="* | *" --mtu "*) continue ;; esac
		! configured mtu || continue
		;;
	--dns=*)
		case "$own" in *" --dns="* | *" --dns "*) continue ;; esac
		! configured dns || continue
		;;
	--default-address-pool=*)
		case "$own" in *" --default-address-pool="* | *" --default-address-pool "*) continue ;; esac
		! configured default-address-pools || continue
		;;
	--registry-mirror=*) ! configured registry-mirrors || continue ;;
	--insecure-registry=*) ! configured insecure-registries || continue ;;
	esac
	set -- "$@" "$flag"
done

limit=${HEPTA_BUILD_CACHE:-0}
case "$limit" in *[!0-9]* | '') limit=0 ;; esac
case " $* " in *" --data-root"* | *" -g "* | *" --graph"*) limit=0 ;; esac
! configured data-root || limit=0
if [ "$limit" = 0 ] || [ "$(id -u)" != 0 ]; then
	exec "$real" "$@"
fi

say() { echo "hepta: build cache: $*" >&2; }
used() { du -skx "$volume" | cut -f 1; }
over() { [ "$(used)" -gt $((limit / 1024)) ]; }

# Whoever holds the lock of a directory is its only daemon. The kernel lets go
# of it when the last process of the container is dead.
n=0
while :; do
	data=$volume/$n
	mkdir -p "$data"
	exec 9>"$data.lock"
	! flock -n 9 || break
	say "another daemon still works in directory $n"
	n=$((n + 1))
done
for other in "$volume"/[0-9]*; do
	if [ -d "$other" ] && [ "$other" != "$data" ]; then
		flock -n "$other.lock" rm -rf "$other" || true
	fi
done

# tidy removes what a job must not find, by a daemon that nobody else reaches,
# and with "all" what can be had again.
tidy() {
	unset DOCKER_TLS_VERIFY DOCKER_CERT_PATH DOCKER_CONTEXT
	export DOCKER_HOST=unix:///run/hepta-dind.sock
	echo '{}' >/run/hepta-dind.json
	"$real" --config-file=/run/hepta-dind.json --data-root="$data" --exec-root=/run/hepta-dind --pidfile=/run/hepta-dind.pid --host="$DOCKER_HOST" \
		--bridge=none --iptables=false --ip6tables=false >/run/hepta-dind.log 2>&1 &
	daemon=$! tries=0
	until docker version >/dev/null 2>&1; do
		tries=$((tries + 1))
		[ "$tries" -lt 300 ] && kill -0 "$daemon" 2>/dev/null || return 1
		sleep 0.1
	done
	docker ps -aq | xargs -r docker rm -fv >/dev/null || return 1
	docker volume ls -q | xargs -r docker volume rm -f >/dev/null || return 1
	if [ "$1" = all ]; then
		docker image prune -af >/dev/null || return 1
		docker builder prune -af --keep-storage $((limit / 4 * 3)) >/dev/null || return 1
	fi
	kill "$daemon" && wait "$daemon"
}

anew() {
	say "$*, it begins anew"
	rm -rf "${data:?}"/*
}

rm -rf "$data/network/files"
if over; then
	say "it takes more than $((limit / 1048576)) MiB, what was not used of late goes"
	(tidy all) && ! over || anew "that was not enough"
elif [ -n "$(ls "$data/containers" 2>/dev/null)" ] || ls "$data/volumes" 2>/dev/null | grep -qv -e '^metadata\.db$' -e '^backingFsBlockDev$'; then
	(tidy job) || anew "what a job has left cannot be removed"
fi

# A daemon that ends at once may have been given a directory that is broken.
began=$(date +%s) told= code=0
"$real" --data-root="$data" "$@" &
daemon=$!
trap 'told=1; kill "$daemon" 2>/dev/null || true' TERM INT
while :; do
	code=0
	wait "$daemon" || code=$?
	kill -0 "$daemon" 2>/dev/null || break
done
if [ -z "$told" ] && [ "$code" != 0 ] && [ $(($(date +%s) - began)) -lt 30 ]; then
	anew "the daemon does not start with it"
	rm -f /var/run/docker.pid
	exec "$real" --data-root="$data" "$@"
fi
exit "$code"
