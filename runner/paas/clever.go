package paas

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// ErrNotReady says that a host is still being made.
var ErrNotReady = errors.New("the host is not ready")

// CleverCloud makes hosts that are applications at Clever Cloud.
type CleverCloud struct {
	Clever Clever
	// Organisation finds whose application it is, see Coordinator.Organisation.
	Organisation func(ctx context.Context, tenant string) (Organisation, error)
	HTTP         *http.Client  // default http.DefaultClient
	Scratch      string        // a directory for pushes, which holds secrets meanwhile; default the system's
	CallLimit    time.Duration // of each call, default 30 s; a push may take four times that

	mu      sync.Mutex
	version string // of the product, once known
}

var _ Provider = (*CleverCloud)(nil)

// application is what the API says of one.
type application struct {
	ID         string
	Name       string
	Deployment struct {
		URL   string `json:"httpUrl"`
		State string `json:"repoState"`
	}
}

func (a application) host(tenant string) Host {
	return Host{ID: a.ID, Name: a.Name, DeployURL: a.Deployment.URL, Tenant: tenant}
}

// do makes a call and reads its answer into something. Without an organisation
// it is a public one.
func (c *CleverCloud) do(ctx context.Context, o *Organisation, method, path string, body, into any) error {
	k := call{method: method, path: path, body: body, header: http.Header{}, limit: cmp.Or(c.CallLimit, 30*time.Second)}
	if o != nil {
		k.path = "/organisations/" + url.PathEscape(o.ID) + path
		scheme := "token"
		if c.Clever.AuthScheme == "bearer" {
			scheme = "Bearer"
		}
		k.header.Set("Authorization", scheme+" "+o.Token.Reveal())
	}
	a, err := send(ctx, c.HTTP, c.Clever.API, k)
	if err != nil {
		return err
	}
	if a.status/100 != 2 {
		return a.refusal(k)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return fmt.Errorf("%s %s: the answer is not the JSON that was expected", k.method, k.path)
	}
	return nil
}

// Flavors are those of the configured context, without its prefix.
func (c *CleverCloud) Flavors(ctx context.Context) (Flavors, error) {
	var all []struct {
		Name      string
		Memory    float64 `json:"mem"`
		CPUs      float64
		Available bool
	}
	if err := c.do(ctx, nil, http.MethodGet, "/products/flavors?context="+url.QueryEscape(c.Clever.FlavorContext), nil, &all); err != nil {
		return nil, fmt.Errorf("list flavors: %w", err)
	}
	var out Flavors
	for _, f := range all {
		if name, ours := strings.CutPrefix(f.Name, c.Clever.FlavorPrefix); ours && f.Available {
			out = append(out, Flavor{name, f.Memory, f.CPUs})
		}
	}
	return out, nil
}

// product is the current version of the product; again asks anew.
func (c *CleverCloud) product(ctx context.Context, again bool) (string, error) {
	c.mu.Lock()
	known := c.version
	c.mu.Unlock()
	if known != "" && !again {
		return known, nil
	}
	var all []struct{ Name, Version string }
	if err := c.do(ctx, nil, http.MethodGet, "/products/instances", nil, &all); err != nil {
		return "", fmt.Errorf("find version of product: %w", err)
	}
	for _, p := range all {
		if p.Name == "Docker" {
			c.mu.Lock()
			c.version = p.Version
			c.mu.Unlock()
			return p.Version, nil
		}
	}
	return "", errors.New("find version of product: there is no product Docker")
}

// Create posts an application. When the product has a new version since it was
// looked up, it is looked up again.
func (c *CleverCloud) Create(ctx context.Context, tenant, name string, f Flavor) (Host, error) {
	o, err := c.Organisation(ctx, tenant)
	if err != nil {
		return Host{}, fmt.Errorf("create host %s: %w", name, err)
	}
	for again := false; ; again = true {
		version, err := c.product(ctx, again)
		if err != nil {
			return Host{}, fmt.Errorf("create host %s: %w", name, err)
		}
		flavor := c.Clever.FlavorPrefix + f.Name
		var a application
		err = c.do(ctx, &o, http.MethodPost, "/applications", map[string]any{
			"zone": c.Clever.Zone, "instanceLifetime": "TASK", "instanceType": "docker", "deploy": "git",
			"instanceVariant": c.Clever.Variant, "instanceVersion": version,
			"minFlavor": flavor, "maxFlavor": flavor, "minInstances": 1, "maxInstances": 1, "name": name,
		}, &a)
		if err == nil && a.ID == "" {
			err = errors.New("the answer has no id")
		}
		if err == nil {
			h := a.host(tenant)
			h.Name, h.Weight = name, f.Weight()
			return h, nil
		}
		var status *StatusError
		if again || !errors.As(err, &status) || status.Code != noSuchInstance {
			return Host{}, fmt.Errorf("create host %s: %w", name, err)
		}
	}
}

// Prepare sets the environment and waits for the repository.
func (c *CleverCloud) Prepare(ctx context.Context, h Host) (Host, error) {
	o, err := c.Organisation(ctx, h.Tenant)
	if err != nil {
		return h, fmt.Errorf("prepare host %s: %w", h.Name, err)
	}
	path := "/applications/" + url.PathEscape(h.ID)
	env := map[string]string{"CC_MOUNT_DOCKER_SOCKET": "true"}
	for k, v := range c.Clever.Env {
		env[k] = v
	}
	if err := c.do(ctx, &o, http.MethodPut, path+"/env", env, nil); err != nil {
		return h, fmt.Errorf("prepare host %s: %w", h.Name, err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.Clever.RepoTimeout, ErrNotReady)
	defer cancel()
	for {
		var a application
		if err := c.do(ctx, &o, http.MethodGet, path, nil, &a); err != nil && ctx.Err() == nil {
			return h, fmt.Errorf("prepare host %s: %w", h.Name, err)
		} else if err == nil && a.Deployment.State == "CREATED" {
			h.DeployURL = cmp.Or(a.Deployment.URL, h.DeployURL)
			return h, nil
		}
		select {
		case <-time.After(c.Clever.RepoStep):
		case <-ctx.Done():
			return h, fmt.Errorf("prepare host %s: %w", h.Name, context.Cause(ctx))
		}
	}
}

// Push commits the files to the application's repository, which deploys it.
func (c *CleverCloud) Push(ctx context.Context, h Host, f Files) error {
	if err := pushable(c.Clever.API, h.DeployURL); err != nil {
		return fmt.Errorf("hand job over to host %s: %w", h.Name, err)
	}
	o, err := c.Organisation(ctx, h.Tenant)
	if err != nil {
		return fmt.Errorf("hand job over to host %s: %w", h.Name, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 4*cmp.Or(c.CallLimit, 30*time.Second))
	defer cancel()
	if err := pushOnce(ctx, c.Scratch, h.DeployURL, c.Clever.AuthUser, o.Token, f); err != nil {
		return fmt.Errorf("hand job over to host %s: %w", h.Name, err)
	}
	return nil
}

// Error codes of the API.
const (
	noSuchInstance    = 9017 // the product or its version
	noSuchApplication = 4004
)

// Delete removes the application. Only the API's own word counts for one that
// is gone already: any 404 on the way would leave it running.
func (c *CleverCloud) Delete(ctx context.Context, h Host) error {
	o, err := c.Organisation(ctx, h.Tenant)
	if err != nil {
		return fmt.Errorf("delete host %s: %w", h.Name, err)
	}
	err = c.do(ctx, &o, http.MethodDelete, "/applications/"+url.PathEscape(h.ID), nil, nil)
	var status *StatusError
	if err == nil || errors.As(err, &status) && status.Code == noSuchApplication {
		return nil
	}
	return fmt.Errorf("delete host %s: %w", h.Name, err)
}

// List gives the tenant's applications.
func (c *CleverCloud) List(ctx context.Context, tenant, prefix string) ([]Host, error) {
	o, err := c.Organisation(ctx, tenant)
	if err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	var all []application
	if err := c.do(ctx, &o, http.MethodGet, "/applications", nil, &all); err != nil {
		return nil, fmt.Errorf("list hosts: %w", err)
	}
	var out []Host
	for _, a := range all {
		if strings.HasPrefix(a.Name, prefix) {
			out = append(out, a.host(tenant))
		}
	}
	return out, nil
}
