package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// ready is from nothing to the first answer of an in-process forge.
func (b *bench) ready(ctx context.Context) ([]result, error) {
	var samples []time.Duration
	for range b.n + 1 {
		dir, err := os.MkdirTemp("", "hepta-bench-forge-")
		if err != nil {
			return nil, fmt.Errorf("make directory: %w", err)
		}
		defer os.RemoveAll(dir)
		began := time.Now()
		forge, err := heptapodtest.Start(ctx, heptapodtest.Config{Dir: dir, Fast: true})
		if err != nil {
			return nil, err
		}
		err = answers(ctx, http.DefaultClient, http.MethodGet, forge.URL+"/-/readiness", "", http.StatusOK)
		took := time.Since(began)
		if closed := forge.Close(); err == nil {
			err = closed
		}
		if err != nil {
			return nil, err
		}
		samples = append(samples, took)
	}
	s := spreadOf(samples[1:])
	return []result{{Name: "heptapodtest_ready_ms", Value: s.Median, Hepta: s}}, nil
}

// answers makes one request and drops the body of its answer.
func answers(ctx context.Context, c *http.Client, method, url, body string, status int) error {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewBufferString(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return fmt.Errorf("ask %s: %w", url, err)
	}
	if resp.StatusCode != status {
		return fmt.Errorf("ask %s: %s", url, resp.Status)
	}
	return nil
}
