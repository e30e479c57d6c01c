package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/progress"
)

const (
	pullTries = 4
	// pullBeat bounds how often a pull tells how far it is.
	pullBeat = 100 * time.Millisecond
)

// Pull gets an image from its registry with the credentials of the docker
// configuration. Temporary errors are tried again; what remains says which
// image, why, and what to do.
func (e *Engine) Pull(ctx context.Context, ref string) error { return e.pull(ctx, ref, 0) }

// ImageID is the id of the local image that ref names.
func (e *Engine) ImageID(ctx context.Context, ref string) (string, error) {
	seen, err := e.api.ImageInspect(ctx, ref)
	if err != nil {
		return "", unreachable("inspect image "+ref, err)
	}
	return seen.ID, nil
}

func (e *Engine) pull(ctx context.Context, ref string, op int) error {
	meter := &pullMeter{layers: make(map[string]layer), send: func(text string, current, total int64) {
		e.sink.Send(progress.Event{Op: op, Kind: string(converge.PullImage), Resource: "image " + ref, State: progress.Running,
			Text: text, Current: current, Total: total})
	}}
	pause := time.Second
	for try := 1; ; try++ {
		err := e.pullOnce(ctx, ref, meter)
		if err == nil && op == 0 { // no plan tells that it is done
			e.sink.Send(progress.Event{Kind: string(converge.PullImage), Resource: "image " + ref, State: progress.Done})
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
		if try == pullTries || !temporary(err) {
			return pullFault(ref, err)
		}
		e.log.Info("pull again", "image", ref, "try", try, "error", err)
		meter.send(fmt.Sprintf("%s, trying again", oneLine(err)), 0, 0)
		if err := sleep(ctx, pause+rand.N(pause)); err != nil {
			return err
		}
		pause *= 2
	}
}

func (e *Engine) pullOnce(ctx context.Context, ref string, meter *pullMeter) error {
	auth, err := registryAuth(ctx, ref)
	if err != nil { // the image may be public all the same
		e.log.Warn("credentials", "image", ref, "error", err)
	}
	body, err := e.api.ImagePull(ctx, ref, image.PullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	defer body.Close()
	return meter.read(body)
}

// pullMessage is one line of what the Engine tells while it pulls.
type pullMessage struct {
	Status string `json:"status"`
	ID     string `json:"id"`
	Detail struct {
		Current int64 `json:"current"`
		Total   int64 `json:"total"`
	} `json:"progressDetail"`
	Error string `json:"error"`
}

type layer struct{ current, total int64 }

// pullMeter adds the layers of one image up.
type pullMeter struct {
	layers map[string]layer
	last   time.Time
	send   func(text string, current, total int64)
}

func (m *pullMeter) read(body io.Reader) error {
	for decoder := json.NewDecoder(body); ; {
		var msg pullMessage
		if err := decoder.Decode(&msg); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read progress: %w", err)
		}
		if msg.Error != "" {
			return errors.New(msg.Error)
		}
		m.take(msg)
	}
}

// take counts downloaded bytes; a layer that is complete counts whole.
func (m *pullMeter) take(msg pullMessage) {
	if msg.ID == "" {
		return
	}
	l := m.layers[msg.ID]
	text := "downloading"
	switch msg.Status {
	case "Downloading":
		l = layer{current: msg.Detail.Current, total: max(l.total, msg.Detail.Total)}
	case "Verifying Checksum", "Download complete", "Pull complete", "Already exists":
		l.current = l.total
	case "Extracting":
		l.current = l.total
		text = "extracting"
	default:
		return
	}
	m.layers[msg.ID] = l
	if now := time.Now(); now.Sub(m.last) >= pullBeat {
		m.last = now
		var current, total int64
		for _, l := range m.layers {
			current, total = current+l.current, total+l.total
		}
		m.send(text, current, total)
	}
}

// temporary reports whether the same pull may succeed a little later.
func temporary(err error) bool {
	text := strings.ToLower(err.Error())
	for _, sign := range []string{"timeout", "connection reset", "unexpected eof", "toomanyrequests", "too many requests", "429",
		"500 internal", "502 bad", "503 service", "504 gateway", "temporary failure", "broken pipe"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// pullFault says which image, why, and what to do.
func pullFault(ref string, err error) error {
	f := &fault.Error{Op: "pull image", What: ref, Err: err}
	text := strings.ToLower(err.Error())
	has := func(signs ...string) bool {
		for _, s := range signs {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	offline := "On a host without a way to the registry, bring the image over as a file: docker save there, docker load here."
	switch {
	case has("unauthorized", "denied", "authentication required", "no basic auth", "401", "403"):
		f.Why = "the registry does not let this account have it, or there is no such image"
		f.Remedy = fmt.Sprintf("Check the name; for a private image log in where hepta runs: docker login %s", registryOf(ref))
	case has("no matching manifest"):
		f.Why = "the image does not exist for this host's kind of processor"
		f.Remedy = "Choose another image in hepta.yaml."
	case has("manifest unknown", "not found", "manifest for"):
		f.Why = "the registry has no such image"
		f.Remedy = "Check the name and the tag in hepta.yaml."
	case has("no such host", "network is unreachable", "connection refused", "no route to host", "server misbehaving", "name resolution"):
		f.Why = "the registry " + registryOf(ref) + " cannot be reached from the Docker host"
		f.Remedy = offline
	case has("no space left"):
		f.Why = "the Docker host's disk is full"
		f.Remedy = "Free space there (docker system df, docker image prune) and run again."
	case has("toomanyrequests", "too many requests", "429"):
		f.Why = "the registry has had too many requests from this address"
		f.Remedy = fmt.Sprintf("Wait, or log in for a higher limit: docker login %s", registryOf(ref))
	case has("timeout", "connection reset", "eof"):
		f.Why = "the connection to the registry " + registryOf(ref) + " broke"
		f.Remedy = "Run again: what was downloaded is kept. " + offline
	default:
		f.Remedy = offline
	}
	return f
}

func oneLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}
