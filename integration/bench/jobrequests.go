package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/heptaup/hepta/heptapod/heptapodtest"
)

// jobRequests is how many empty requests for a job an in-process forge answers
// a second, asked by as many runners at once as a host may have.
func (b *bench) jobRequests(ctx context.Context) ([]result, error) {
	const (
		runners = 8
		span    = 3 * time.Second
	)
	dir, err := os.MkdirTemp("", "hepta-bench-forge-")
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	forge, err := heptapodtest.Start(ctx, heptapodtest.Config{Dir: dir, Fast: true, LongPoll: -1})
	if err != nil {
		return nil, err
	}
	defer forge.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: runners}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	var answered atomic.Int64
	group, gctx := errgroup.WithContext(ctx)
	began := time.Now()
	for range runners {
		token, err := forge.NewRunnerToken()
		if err != nil {
			return nil, err
		}
		group.Go(func() error {
			for time.Since(began) < span {
				err := answers(gctx, client, http.MethodPost, forge.URL+"/api/v4/jobs/request", `{"token":"`+token+`"}`, http.StatusNoContent)
				if err != nil {
					return err
				}
				answered.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return []result{{Name: "job_requests_per_s", Value: float64(answered.Load()) / time.Since(began).Seconds()}}, nil
}
