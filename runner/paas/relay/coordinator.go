package relay

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/heptaup/hepta/runner/paas"
)

// coordinator is what the stock runner takes for the forge.
type coordinator struct {
	forge  *forge
	job    paas.Job
	given  []byte // the job as the runner gets it
	config []byte // of the stock runner; holds the token
	token  string // of who may have the job
	ip     string
	url    string
	limit  time.Duration
	server *http.Server
	picked chan struct{} // closed when the runner has the job
	over   chan struct{} // closed when the forge says that the job is over

	mu      sync.Mutex
	asked   bool
	outcome Outcome
	word    *word
}

// word is what the runner says of the job's end.
type word struct {
	state string
	body  []byte
}

// serve starts a coordinator for one job.
func serve(r Relay, s section, f *forge) (*coordinator, error) {
	ip := r.Address
	if ip == "" {
		ip = ownAddress()
	}
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		return nil, fmt.Errorf("listen for the runner: %w", err)
	}
	given := []byte(r.Job.Payload.Reveal())
	if len(f.authority) > 0 {
		if given, err = trusting(given, f.url, f.authority); err != nil {
			_ = l.Close()
			return nil, err
		}
	}
	c := &coordinator{
		forge: f, job: r.Job, given: given, ip: ip, limit: timeLimit(r.Job), picked: make(chan struct{}), over: make(chan struct{}),
		token: paas.TokenOn(paas.HostName(s.short, r.Job.ID)) + rand.Text(),
	}
	c.url = "http://" + l.Addr().String()
	if c.config, err = s.stock(c.url, c.token); err != nil {
		_ = l.Close()
		return nil, err
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: time.Minute}
	go func() { _ = c.server.Serve(l) }()
	return c, nil
}

func (c *coordinator) close() { _ = c.server.Close() }

// ownAddress is where containers on this machine's bridges reach it, and those
// on the network that it is a container of.
func ownAddress() string {
	// Nothing is sent: only a route is looked up, to an address for documentation.
	if conn, err := net.Dial("udp4", "192.0.2.1:9"); err == nil {
		defer conn.Close()
		if a, ok := conn.LocalAddr().(*net.UDPAddr); ok {
			return a.IP.String()
		}
	}
	return "127.0.0.1"
}

// timeLimit is the job's own, as a runner understands it.
func timeLimit(j paas.Job) time.Duration {
	var in struct {
		Runner struct{ Timeout int64 } `json:"runner_info"`
	}
	_ = json.Unmarshal([]byte(j.Payload.Reveal()), &in)
	if in.Runner.Timeout <= 0 {
		return 2 * time.Hour
	}
	return time.Duration(in.Runner.Timeout) * time.Second
}

const api = "/api/v4/"

// bodyLimit bounds what is read of a runner's calls; a piece of the trace is
// 1 MiB at most.
const bodyLimit = 8 << 20

// ServeHTTP passes on what a runner and its helpers say of jobs, and nothing else.
func (c *coordinator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rest, ok := strings.CutPrefix(path.Clean(r.URL.Path), api+"jobs/")
	if !ok {
		http.NotFound(w, r)
		return
	}
	if rest == "request" && r.Method == http.MethodPost {
		c.give(w, r)
		return
	}
	text, what, _ := strings.Cut(rest, "/")
	id, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		http.NotFound(w, r)
	case what == "artifacts": // of this job, and of those that it depends on
		// A helper tries few times only.
		if err := c.forge.reach(r.Context()); err != nil {
			http.Error(w, "the forge is out of reach", http.StatusServiceUnavailable)
			return
		}
		c.pass(w, r, nil)
	case id == c.job.ID && (what == "" && r.Method == http.MethodPut || what == "trace" && r.Method == http.MethodPatch):
		c.update(w, r)
	default:
		http.NotFound(w, r)
	}
}

// give answers the first request of the runner with the job, later ones with
// nothing.
func (c *coordinator) give(w http.ResponseWriter, r *http.Request) {
	var in struct{ Token string }
	_ = json.NewDecoder(io.LimitReader(r.Body, bodyLimit)).Decode(&in)
	if subtle.ConstantTimeCompare([]byte(in.Token), []byte(c.token)) != 1 {
		http.Error(w, `{"message":"403 Forbidden"}`, http.StatusForbidden)
		return
	}
	c.mu.Lock()
	first := !c.asked
	c.asked = true
	c.mu.Unlock()
	if !first {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(c.given)
	close(c.picked)
}

// update passes on what the runner says of the job, and heeds the answer.
func (c *coordinator) update(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err != nil {
		http.Error(w, "unreadable body", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct{ Token, State string }
	if r.Method == http.MethodPut {
		_ = json.Unmarshal(body, &in)
	}
	if !c.ours(in.Token, r.Header.Get("Job-Token"), r.Header.Get("Private-Token")) {
		http.Error(w, `{"message":"403 Forbidden"}`, http.StatusForbidden)
		return
	}
	var last *word
	if in.State == "success" || in.State == "failed" {
		last = &word{in.State, body}
		c.mu.Lock()
		c.word = last
		c.mu.Unlock()
	}
	c.pass(w, r, func(resp *http.Response) error {
		// A runner gives the job up for a 403 or 404 that a proxy has said.
		if foreign(resp) {
			resp.StatusCode, resp.Status = http.StatusBadGateway, ""
		}
		if r.Method == http.MethodPatch {
			c.forge.heard(resp)
		}
		if outcome := verdict(last, resp); outcome != "" {
			c.settle(outcome)
		}
		return nil
	})
}

func (c *coordinator) ours(tokens ...string) bool {
	found := false
	for _, t := range tokens {
		found = found || subtle.ConstantTimeCompare([]byte(t), []byte(c.job.Token.Reveal())) == 1
	}
	return found
}

// verdict is what the forge's answer makes of the job; empty while it goes on.
func verdict(last *word, resp *http.Response) Outcome {
	status := resp.Header.Get("Job-Status")
	switch code := resp.StatusCode; {
	case code >= 500 || code == http.StatusTooManyRequests || foreign(resp):
		return "" // a proxy may say anything
	case code == http.StatusForbidden:
		return Gone
	case last == nil && (status == "canceled" || status == "failed"):
		return Gone
	case last == nil || code != http.StatusOK:
		return ""
	case status == "canceling" || status == "canceled":
		return Gone
	case last.state == "success":
		return Succeeded
	}
	return Failed
}

func (c *coordinator) settle(o Outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.outcome == "" {
		c.outcome = o
		close(c.over)
	}
}

// pass hands a call to the forge as it is.
func (c *coordinator) pass(w http.ResponseWriter, r *http.Request, inspect func(*http.Response) error) {
	p := httputil.ReverseProxy{
		Transport: c.forge.client.Transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(c.forge.url)
			p.Out.Host = ""
		},
		ModifyResponse: inspect,
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				c.forge.log.Warn("the forge is out of reach", "error", err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	p.ServeHTTP(w, r)
}

// deliver is how the job ended, when the runner has said so. What the forge has
// not heard of it is said again.
func (c *coordinator) deliver(ctx context.Context) (Outcome, error) {
	c.mu.Lock()
	outcome, last := c.outcome, c.word
	c.mu.Unlock()
	if outcome != "" || last == nil {
		return outcome, nil
	}
	ctx, cancel := lastly(ctx)
	defer cancel()
	err := c.forge.persist(ctx, func(ctx context.Context) error {
		resp, err := c.forge.send(ctx, http.MethodPut, fmt.Sprint("/jobs/", c.job.ID), last.body, http.Header{"Content-Type": {"application/json"}})
		if err != nil {
			return err
		}
		if err := refused("tell how the job ended", resp); paas.Temporary(err) {
			return err
		}
		outcome = verdict(last, resp)
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("the job has ended (%s) and the forge does not know it: %w", last.state, err)
	}
	return outcome, nil
}
