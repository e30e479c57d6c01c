package paas

import (
	"context"
	"sync"
	"time"
)

// directory remembers the organisations of tenants, so that the forge is not
// asked for each call to the provider, and a host can be removed while the
// forge is down.
type directory struct {
	find func(ctx context.Context, tenant string) (Organisation, error)

	mu    sync.Mutex
	known map[string]entry
}

type entry struct {
	Organisation
	at time.Time
}

// organisationKept is how long an organisation is believed without asking.
const organisationKept = time.Minute

// of finds the organisation of a tenant. An old answer is better than none.
func (d *directory) of(ctx context.Context, tenant string) (Organisation, error) {
	d.mu.Lock()
	e, known := d.known[tenant]
	d.mu.Unlock()
	if known && time.Since(e.at) < organisationKept {
		return e.Organisation, nil
	}
	o, err := d.find(ctx, tenant)
	if err != nil && known && Temporary(err) {
		return e.Organisation, nil
	}
	if err != nil {
		return o, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil {
		d.known = map[string]entry{}
	}
	d.known[tenant] = entry{o, time.Now()}
	return o, nil
}
