// Package runner makes and keeps GitLab and Heptapod runners: their records in
// the forge, their config.toml, their container, in the modes dind, socket,
// rootless and plain.
//
// The forge and two files on the Docker host hold all state. config.toml is
// shared with the runner itself and with people: only what a Config says is
// changed in it, and the runner takes a change over without a new container.
// hepta.json beside it remembers which runners and which keys are ours, and
// what the forge was told; it holds no token.
package runner
