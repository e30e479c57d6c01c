// Command paasload is the manager of on-demand runners as `hepta paas run` has
// it, with time running faster and the job handed over by one request instead
// of a Git push, whose cost is git's. It runs until it is told to stop.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/heptaup/hepta/runner/paas"
)

func main() {
	config := flag.String("config", "", "configuration")
	scale := flag.Float64("scale", 1, "how many times as fast time runs")
	flag.Parse()
	if err := run(*config, *scale); err != nil {
		fmt.Fprintln(os.Stderr, "paasload:", err)
		os.Exit(1)
	}
}

func run(config string, scale float64) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	data, err := os.ReadFile(config)
	if err != nil {
		return err
	}
	cfg, _, err := paas.Read(data)
	if err != nil {
		return err
	}
	journal, err := paas.OpenJournal(cfg.StateFile)
	if err != nil {
		return err
	}
	defer journal.Close()
	scaled := func(d time.Duration) time.Duration { return time.Duration(float64(d) / scale) }
	m := &paas.Manager{
		Journal: journal, Hosts: hosts,
		Pace: paas.Pace{
			Heartbeat: scaled(30 * time.Second), Sweep: scaled(3 * time.Minute), Grace: scaled(3 * time.Minute), Retry: scaled(time.Second),
		},
	}
	return m.Run(ctx, cfg, nil)
}

func hosts(ctx context.Context, r paas.Runner, c *paas.Coordinator) (paas.Provider, error) {
	p, err := paas.Cloud(ctx, r, c)
	if err != nil {
		return nil, err
	}
	return handOver{p.(*paas.CleverCloud)}, nil
}

// handOver posts the job to where it would be pushed.
type handOver struct{ *paas.CleverCloud }

func (p handOver) Push(ctx context.Context, h paas.Host, f paas.Files) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.DeployURL, bytes.NewReader(data))
	if err != nil {
		return err
	}
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("push: %s", resp.Status)
	}
	return nil
}
