package relay

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/heptaup/hepta/internal/redirect"
	"github.com/heptaup/hepta/runner/paas"
)

// forge is the coordinator that the job is from.
type forge struct {
	url         *url.URL
	authority   []byte // of the forge's certificate, PEM; empty for the system's
	client      *http.Client
	tls         *tls.Config // of the client
	coordinator *paas.Coordinator
	record      paas.Record
	patience    time.Duration
	log         *slog.Logger
	end         atomic.Int64 // of the trace, as far as it is known
}

func newForge(s section, job paas.Job, patience time.Duration, log *slog.Logger) (*forge, error) {
	u, err := url.Parse(s.url)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("read runner.toml: url is not an http(s) URL")
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	client := redirect.SameServer(&http.Client{Transport: t})
	return &forge{
		url: u, client: client, tls: t.TLSClientConfig, coordinator: &paas.Coordinator{URL: s.url, HTTP: client}, patience: patience, log: log,
		record: paas.Record{Key: paas.Key{Runner: s.short, Job: job.ID}, Token: job.Token},
	}, nil
}

// trust takes over whom the section trusts and what it shows. It comes before
// the first call.
func (f *forge) trust(s section) error {
	if s.tls.ca != "" {
		pem, err := os.ReadFile(s.tls.ca)
		if err != nil {
			return fmt.Errorf("read tls-ca-file of runner.toml: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("read tls-ca-file of runner.toml: there is no certificate in %s", s.tls.ca)
		}
		f.tls.RootCAs, f.authority = pool, pem
	}
	if s.tls.cert != "" {
		pair, err := tls.LoadX509KeyPair(s.tls.cert, s.tls.key)
		if err != nil {
			return fmt.Errorf("read tls-cert-file and tls-key-file of runner.toml: %w", err)
		}
		f.tls.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// persist does something until the forge has heard it.
func (f *forge) persist(ctx context.Context, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, f.patience)
	defer cancel()
	for failures := 1; ; failures++ {
		err := do(ctx)
		if err == nil || !paas.Temporary(err) {
			return err
		}
		wait := paas.Backoff(failures, err)
		f.log.Warn("the forge is out of reach", "error", err, "again", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// accept makes sure that the job is ours and starts.
func (f *forge) accept(ctx context.Context) (s paas.Standing, err error) {
	err = f.persist(ctx, func(ctx context.Context) (err error) {
		s, err = f.coordinator.Accept(ctx, f.record)
		return err
	})
	return s, err
}

// reach waits until the forge answers at all, but not longer than a helper
// waits for an answer.
func (f *forge) reach(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	return f.persist(ctx, func(ctx context.Context) error {
		if _, err := f.coordinator.Look(ctx, f.record); paas.Temporary(err) {
			return err
		}
		return nil
	})
}

// traced reports whether anybody has written to the job's trace. It writes
// nothing: a piece without content that is put in the wrong place is refused.
func (f *forge) traced(ctx context.Context) (bool, error) {
	written := false
	err := f.persist(ctx, func(ctx context.Context) error {
		resp, err := f.send(ctx, http.MethodPatch, fmt.Sprintf("/jobs/%d/trace", f.record.Job), nil, http.Header{
			"Content-Type": {"text/plain"}, "Content-Range": {"0-0"},
		})
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusAccepted && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable {
			return refused("look for a trace", resp)
		}
		f.heard(resp)
		written = resp.StatusCode == http.StatusRequestedRangeNotSatisfiable || f.end.Load() > 0
		return nil
	})
	return written, err
}

// heard learns where the trace ends.
func (f *forge) heard(resp *http.Response) {
	_, size, ok := strings.Cut(resp.Header.Get("Range"), "-")
	if n, err := strconv.ParseInt(size, 10, 64); ok && err == nil && n >= 0 {
		f.end.Store(n)
	}
}

// breakDown ends the job as failed by its host, also when ctx is done.
func (f *forge) breakDown(ctx context.Context, why string) (Outcome, error) {
	ctx, cancel := lastly(ctx)
	defer cancel()
	f.log.Error("the job fails", "why", why)
	r := f.record
	r.Failure, r.TraceOffset = why, f.end.Load()
	err := f.persist(ctx, func(ctx context.Context) error {
		_, err := f.coordinator.FailSystem(ctx, r)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("run job %d: %s The forge could not be told: %w", r.Job, why, err)
	}
	return Failed, broken(r.Job, why)
}

// lastly is the time that is left for a last word: a little when ctx is done.
func lastly(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Err() == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), quickly)
}

// send makes one call with the job's token. The answer is read.
func (f *forge) send(ctx context.Context, method, path string, body []byte, header http.Header) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, f.url.JoinPath("api/v4", path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header = header.Clone()
	req.Header.Set("Job-Token", f.record.Token.Reveal())
	resp, err := f.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	resp.Body = io.NopCloser(bytes.NewReader(data))
	return resp, err
}

func refused(what string, resp *http.Response) error {
	return fmt.Errorf("%s: %w", what, &paas.StatusError{
		Call: resp.Request.Method + " " + cmp.Or(resp.Request.URL.Path, "/"), Status: resp.StatusCode, Foreign: foreign(resp),
	})
}

// foreign reports whether an answer is from something before the forge. The
// body can be read again.
func foreign(resp *http.Response) bool {
	if resp.StatusCode/100 != 4 || resp.Body == nil {
		return resp.StatusCode/100 == 4 && !paas.IsForges(resp.StatusCode, nil)
	}
	head, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return err == nil && !paas.IsForges(resp.StatusCode, head)
}
