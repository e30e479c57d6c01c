package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"

	"github.com/docker/docker/client"

	"github.com/heptaup/hepta"
)

// counted counts requests.
type counted struct {
	http.RoundTripper
	n atomic.Int64
}

func (c *counted) RoundTrip(r *http.Request) (*http.Response, error) {
	c.n.Add(1)
	return c.RoundTripper.RoundTrip(r)
}

// noopCalls is how many calls of the Engine an up makes where nothing is to be
// done, the first ping of the connection among them.
func (b *bench) noopCalls(ctx context.Context) ([]result, error) {
	counter := &counted{RoundTripper: b.inner.HTTPClient().Transport}
	docker, err := client.NewClientWithOpts(client.WithHost("unix://"+b.socket), client.WithVersion(b.inner.ClientVersion()),
		client.WithHTTPClient(&http.Client{Transport: counter}))
	if err != nil {
		return nil, fmt.Errorf("make counting client: %w", err)
	}
	defer docker.Close()
	cfg, err := hepta.Load(b.config)
	if err != nil {
		return nil, err
	}
	stack, err := hepta.New(cfg, hepta.WithDocker(docker))
	if err != nil {
		return nil, err
	}
	if _, err := docker.Ping(ctx); err != nil {
		return nil, fmt.Errorf("ping engine: %w", err)
	}
	plan, err := stack.Up(ctx, hepta.UpOptions{})
	if err != nil {
		return nil, err
	}
	if !plan.Empty() {
		return nil, errors.New("there was something to do:\n" + plan.String())
	}
	return []result{{Name: "noop_calls", Value: float64(counter.n.Load()), Aim: 14}}, nil
}
