// Package registry knows the forge's container registry: how it is published,
// whether it answers as a Docker client expects and images pass through it,
// how to log in to it, what it holds, how its garbage is collected and what
// Kubernetes needs to pull from it.
package registry
