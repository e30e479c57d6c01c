// Package opaque lets the public packages of this module hand values to each
// other that no other module can make or look into.
package opaque

// Value holds a T. Other modules can only pass it on.
type Value[T any] struct{ v T }

// Hide wraps v.
func Hide[T any](v T) Value[T] { return Value[T]{v} }

// Show returns what Hide was given.
func Show[T any](v Value[T]) T { return v.v }
