// Package images makes every container image that the tests and hepta try
// need, on the spot and without any registry: a Debian root file system from
// Debian packages, programs from Go modules, and a few scripts.
//
// An image is kept by content. Everything that goes into it is hashed into a
// label; an image that is there with the same hash is used as it is.
//
// To move a program to another version, copy its two files in modules to an
// empty directory as go.mod and go.sum, run go get and go mod tidy there, and
// copy them back. The version constants of this package follow by hand; a test
// holds them together.
package images
