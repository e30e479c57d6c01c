package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/heptaup/hepta/internal/engine"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/runner/paas"
	"github.com/heptaup/hepta/runner/paas/localdocker"
)

func paasRunCommand(t terminal) *cli.Command {
	return &cli.Command{
		Name:      "run",
		Usage:     "take jobs and have hosts made for them",
		ArgsUsage: "CONFIG",
		Description: "Runs until it is told to stop, and stops within seconds: jobs go on without it, and the next start\n" +
			"takes them up again, also after kill -9. SIGHUP reads the configuration again. The exit code is 2\n" +
			"when the configuration is wrong. The log goes to standard error.\n\n" +
			"Examples:\n" +
			"   hepta paas run /etc/hepta/paas.toml\n" +
			"   hepta paas run --metrics 127.0.0.1:9252 /etc/hepta/paas.toml",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "metrics", Usage: "serve Prometheus metrics at this address, below /metrics"},
			&cli.StringFlag{Name: "logging-level", Aliases: []string{"l"}, Value: "INFO", Usage: "DEBUG, INFO, WARNING, ERROR or CRITICAL"},
			&cli.BoolFlag{Name: "debug-signal", Usage: "log the state of all jobs on SIGUSR1"},
			&cli.Float64Flag{Name: "poll-interval", DefaultText: "from the configuration", Usage: "instead of check_interval, seconds"},
			&cli.Float64Flag{Name: "job-progress-poll-interval", DefaultText: "from the configuration", Usage: "instead of job_progress_poll_interval, seconds"},
			&cli.IntFlag{Name: "poll-cycles", DefaultText: "until stopped", Usage: "stop after so many requests of each runner for a job"},
		},
		Action: func(c *cli.Context) error {
			level, err := logLevel(c.String("logging-level"))
			if err != nil {
				return usage{err}
			}
			path, cfg, err := paasConfig(c, t)
			if err != nil {
				return err
			}
			cfg = withIntervals(c, cfg)
			journal, err := paas.OpenJournal(cfg.StateFile)
			if err != nil {
				return err
			}
			defer journal.Close()
			m := &paas.Manager{
				Journal: journal, Hosts: paasHosts, Cycles: c.Int("poll-cycles"),
				Log: slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: level})),
			}
			if err := m.Check(c.Context, cfg); err != nil {
				explain(t, err, c.Bool(flagNoColor))
				return exit(exitPaasConfig)
			}
			if address := c.String("metrics"); address != "" {
				stop, err := serveMetrics(c.Context, address, m)
				if err != nil {
					return err
				}
				defer stop()
			}
			return m.Run(c.Context, cfg, watchPaasSignals(c, t, m, path, cfg.StateFile))
		},
	}
}

// withIntervals lets flags go before the configuration.
func withIntervals(c *cli.Context, cfg paas.Config) paas.Config {
	for name, into := range map[string]*time.Duration{"poll-interval": &cfg.CheckInterval, "job-progress-poll-interval": &cfg.ProgressInterval} {
		if s := c.Float64(name); s > 0 {
			*into = time.Duration(s * float64(time.Second))
		}
	}
	return cfg
}

// logLevel knows the names of heptapod-paas-runner.
func logLevel(name string) (slog.Level, error) {
	switch strings.ToUpper(name) {
	case "DEBUG":
		return slog.LevelDebug, nil
	case "INFO":
		return slog.LevelInfo, nil
	case "WARNING", "WARN":
		return slog.LevelWarn, nil
	case "ERROR":
		return slog.LevelError, nil
	case "CRITICAL":
		return slog.LevelError + 4, nil
	}
	return 0, fmt.Errorf("--logging-level %q: want DEBUG, INFO, WARNING, ERROR or CRITICAL", name)
}

// paasHosts is how hosts of each executor are made.
func paasHosts(ctx context.Context, r paas.Runner, c *paas.Coordinator) (paas.Provider, error) {
	if r.Executor != paas.LocalDocker {
		return paas.Cloud(ctx, r, c)
	}
	docker, err := engine.Dial(ctx, r.Socket)
	if err != nil {
		return nil, err
	}
	return &localdocker.Provider{Engine: docker, Socket: strings.TrimPrefix(r.Socket, "unix://")}, nil
}

// watchPaasSignals reads the configuration again on SIGHUP. What is wrong then is told,
// and the one that was good stays.
func watchPaasSignals(c *cli.Context, t terminal, m *paas.Manager, path, state string) <-chan paas.Config {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP)
	if c.Bool("debug-signal") {
		signal.Notify(signals, syscall.SIGUSR1)
	}
	reload := make(chan paas.Config)
	go func() {
		defer signal.Stop(signals)
		for {
			var s os.Signal
			select {
			case s = <-signals:
			case <-c.Context.Done():
				return
			}
			if s == syscall.SIGUSR1 {
				m.LogState()
				continue
			}
			cfg, err := readPaasConfig(path, t)
			if err == nil && cfg.StateFile != state {
				err = &fault.Error{Op: "read configuration", What: path, Why: "state_file has changed", Remedy: "That takes a restart."}
				explain(t, err, true)
			}
			if err == nil {
				if err = m.Check(c.Context, cfg); err != nil {
					explain(t, err, true)
				}
			}
			if err != nil {
				m.Log.Error("the configuration stays as it was")
				continue
			}
			select {
			case reload <- withIntervals(c, cfg):
			case <-c.Context.Done():
				return
			}
		}
	}()
	return reload
}

// serveMetrics answers until stop.
func serveMetrics(ctx context.Context, address string, m *paas.Manager) (stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		_ = m.WriteMetrics(w)
	})
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			m.Log.Error("metrics are no longer served", "error", err)
		}
	}()
	return func() { _ = s.Close() }, nil
}
