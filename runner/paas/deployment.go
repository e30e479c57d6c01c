package paas

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Deployment is what became of a push.
type Deployment string

// The deployments.
const (
	Unknown  Deployment = ""          // the provider does not say
	UnderWay Deployment = "under way" // the host is being started
	Deployed Deployment = "deployed"  // the host runs
	Failed   Deployment = "failed"    // there will be no host
)

// Deployer is a Provider that tells of deployments: a host that cannot start is
// seen at once, and not by its silence.
type Deployer interface {
	// Deployment is the newest one of a host.
	Deployment(ctx context.Context, h Host) (Deployment, error)
}

var _ Deployer = (*CleverCloud)(nil)

// Deployment asks for the application's newest deployment.
func (c *CleverCloud) Deployment(ctx context.Context, h Host) (Deployment, error) {
	o, err := c.Organisation(ctx, h.Tenant)
	if err != nil {
		return Unknown, fmt.Errorf("look at deployment of host %s: %w", h.Name, err)
	}
	var list []struct{ State string }
	if err := c.do(ctx, &o, http.MethodGet, "/applications/"+url.PathEscape(h.ID)+"/deployments?limit=1", nil, &list); err != nil {
		return Unknown, fmt.Errorf("look at deployment of host %s: %w", h.Name, err)
	}
	if len(list) == 0 {
		return UnderWay, nil
	}
	switch list[0].State {
	case "WIP":
		return UnderWay, nil
	case "OK":
		return Deployed, nil
	case "FAIL", "CANCELLED":
		return Failed, nil
	}
	return Unknown, nil
}
