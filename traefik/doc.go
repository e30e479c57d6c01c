// Package traefik runs a Traefik proxy in front of other containers: its
// entrypoints, certificates, redirects, dashboard, and the labels that publish
// a service through it.
package traefik
