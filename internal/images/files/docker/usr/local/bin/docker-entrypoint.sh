#!/bin/sh
set -e

# Options and docker's own commands may be given without the program's name.
if [ "${1#-}" != "$1" ]; then
	set -- docker "$@"
elif [ $# -gt 0 ] && ! command -v "$1" >/dev/null 2>&1 && docker help "$1" >/dev/null 2>&1; then
	set -- docker "$@"
fi

# Where nothing says otherwise, the daemon is the socket if there is one, else
# the service that is called docker: with TLS once it has left a certificate.
if [ -z "${DOCKER_HOST:-}" ] && [ ! -S /var/run/docker.sock ]; then
	certs=${DOCKER_TLS_CERTDIR-/certs}
	if [ -n "$certs" ] && [ -s "$certs/client/ca.pem" ] && [ -s "$certs/client/cert.pem" ] && [ -s "$certs/client/key.pem" ]; then
		export DOCKER_HOST=tcp://docker:2376 DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$certs/client"
	else
		export DOCKER_HOST=tcp://docker:2375
	fi
elif [ "${DOCKER_HOST#tcp:}" != "${DOCKER_HOST:-}" ] && [ -z "${DOCKER_TLS_VERIFY:-}" ] && [ -n "${DOCKER_TLS_CERTDIR:-}" ] &&
	[ -z "${DOCKER_CERT_PATH:-}" ] && [ "${DOCKER_HOST%:2376}" != "$DOCKER_HOST" ] && [ -s "$DOCKER_TLS_CERTDIR/client/ca.pem" ]; then
	export DOCKER_TLS_VERIFY=1 DOCKER_CERT_PATH="$DOCKER_TLS_CERTDIR/client"
fi

exec "$@"
