// Package sandbox runs a Docker Engine inside a container: a bare host of its
// own with free ports, for tests and for trying things out. It works with a
// remote Engine as well: the inner one is reached through the outer one's API.
package sandbox
