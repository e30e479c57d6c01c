#!/bin/sh
set -e

# certificates DIR makes, once, an authority with a server's and a client's
# certificate, in the layout DIR/{ca,server,client}.
certificates() {
	dir=$1
	mkdir -p "$dir/ca" "$dir/server" "$dir/client"
	if [ ! -s "$dir/ca/key.pem" ] || ! openssl x509 -checkend 86400 -noout -in "$dir/ca/cert.pem" >/dev/null 2>&1; then
		openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 825 \
			-subj "/CN=docker:dind CA" -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign \
			-keyout "$dir/ca/key.pem" -out "$dir/ca/cert.pem" 2>/dev/null
		rm -f "$dir/server/cert.pem" "$dir/client/cert.pem"
	fi
	names="DNS:docker,DNS:localhost,DNS:$(hostname),IP:127.0.0.1,IP:0:0:0:0:0:0:0:1"
	for ip in $(hostname -I 2>/dev/null); do
		names="$names,IP:$ip"
	done
	[ -z "${DOCKER_TLS_SAN:-}" ] || names="$names,$DOCKER_TLS_SAN"
	certificate server "/CN=docker:dind server" serverAuth "$names"
	[ -s "$dir/client/cert.pem" ] || certificate client "/CN=docker:dind client" clientAuth ""
}

# certificate KIND SUBJECT USAGE NAMES
certificate() {
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "$2" \
		-keyout "$dir/$1/key.pem" -out "$dir/$1/csr.pem" 2>/dev/null
	{
		echo "extendedKeyUsage=$3"
		[ -z "$4" ] || echo "subjectAltName=$4"
	} >"$dir/$1/extensions"
	openssl x509 -req -sha256 -days 825 -in "$dir/$1/csr.pem" -extfile "$dir/$1/extensions" \
		-CA "$dir/ca/cert.pem" -CAkey "$dir/ca/key.pem" -out "$dir/$1/cert.pem" 2>/dev/null
	cp "$dir/ca/cert.pem" "$dir/$1/ca.pem"
	rm "$dir/$1/csr.pem" "$dir/$1/extensions"
	# The client's files are for jobs, whatever user they run as.
	[ "$1" != client ] || chmod 0644 "$dir/client/key.pem"
}

# Arguments are dockerd's unless they name a program.
if [ $# -eq 0 ] || [ "${1#-}" != "$1" ]; then
	set -- dockerd "$@"
fi
if [ "$1" != dockerd ]; then
	exec docker-entrypoint.sh "$@"
fi
shift

if [ -n "${DOCKER_TLS_CERTDIR:-}" ]; then
	certificates "$DOCKER_TLS_CERTDIR"
	set -- --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2376 --tlsverify \
		--tlscacert="$DOCKER_TLS_CERTDIR/server/ca.pem" --tlscert="$DOCKER_TLS_CERTDIR/server/cert.pem" \
		--tlskey="$DOCKER_TLS_CERTDIR/server/key.pem" "$@"
else
	set -- --host=unix:///var/run/docker.sock --host=tcp://0.0.0.0:2375 --tls=false "$@"
fi

# With cgroup v2 the daemon may share out its controllers only after every
# process has left the root group.
if [ -f /sys/fs/cgroup/cgroup.controllers ] && mkdir -p /sys/fs/cgroup/init 2>/dev/null; then
	while read -r pid; do
		echo "$pid" >/sys/fs/cgroup/init/cgroup.procs 2>/dev/null || true
	done </sys/fs/cgroup/cgroup.procs
	for controller in $(cat /sys/fs/cgroup/cgroup.controllers); do
		echo "+$controller" >/sys/fs/cgroup/cgroup.subtree_control 2>/dev/null || true
	done
fi

# A restarted container finds the files of the processes that it had before.
rm -rf /var/run/docker.pid /run/docker /run/containerd
exec docker-init -- dockerd "$@"
