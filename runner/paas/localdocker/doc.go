// Package localdocker runs on-demand jobs on one Docker Engine, each in a
// container that has the Engine's socket. It is for trying and developing: the
// jobs are not kept apart from each other.
package localdocker
