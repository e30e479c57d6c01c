package paas

import "context"

// Provider has hosts made and removed. Every method ends within its own time
// limit and can be repeated when its answer was lost. A tenant is the top-level
// group whose organisation a host belongs to; empty with a single organisation.
type Provider interface {
	// Flavors are the sizes that can be had now.
	Flavors(ctx context.Context) (Flavors, error)
	// Create asks for a host. When it fails the host may exist all the same:
	// List finds it by its name.
	Create(ctx context.Context, tenant, name string, f Flavor) (Host, error)
	// Prepare makes a host ready for Push and returns it with its DeployURL;
	// ErrNotReady when that takes longer than one is willing to wait.
	Prepare(ctx context.Context, h Host) (Host, error)
	// Push hands a job over, unless that was done already.
	Push(ctx context.Context, h Host, f Files) error
	// Delete removes a host; one that is not there is no error.
	Delete(ctx context.Context, h Host) error
	// List gives the hosts whose names begin with a prefix. One that was just
	// made may be missing.
	List(ctx context.Context, tenant, prefix string) ([]Host, error)
}
