#!/bin/sh
# Options and traefik's own commands may be given without the program's name.
case "$1" in
traefik) ;;
-* | healthcheck | version) set -- traefik "$@" ;;
esac
exec "$@"
