package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/heptaup/hepta/internal/fault"
)

// maxAnswer bounds what is read of an answer, which is never long.
const maxAnswer = 1 << 20

// conn speaks to one registry and to the realm that the registry names.
type conn struct {
	http *http.Client
	base *url.URL // scheme and host
}

// connect parses a registry's address: a URL, or a host with or without port,
// which is https except on the loopback. A nil client is a default one.
func connect(client *http.Client, address string) (*conn, error) {
	refuse := func(why string) error {
		return &fault.Error{Op: "read registry address", What: redact(address), Why: why,
			Remedy: "Write it as in https://registry.example.org or registry.example.org:5050."}
	}
	text := address
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, refuse("it is no address")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, refuse("it has more than scheme, host and port")
	}
	if text != address && isLoopback(u.Hostname()) {
		u.Scheme = "http"
	}
	if client == nil {
		client = new(http.Client)
	}
	direct := *client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &conn{http: &direct, base: &url.URL{Scheme: u.Scheme, Host: u.Host}}, nil
}

// isLoopback reports whether Docker takes the host for one without TLS.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// redact drops what may be a password from an address that is about to be shown.
func redact(address string) string {
	if at := strings.LastIndexByte(address, '@'); at >= 0 {
		return "…" + address[at:]
	}
	return address
}

// answer is a response whose body has been read.
type answer struct {
	*http.Response
	body []byte
}

// do sends a request without a body. Redirects are answers like others: a
// credential goes where it was meant to go.
func (c *conn) do(ctx context.Context, method, address string, prepare func(*http.Request)) (*answer, error) {
	return c.send(ctx, method, address, nil, prepare)
}

// send is do with a body.
func (c *conn) send(ctx context.Context, method, address string, body []byte, prepare func(*http.Request)) (*answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "hepta")
	if prepare != nil {
		prepare(req)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read answer of %s: %w", req.URL.Host, err)
	}
	return &answer{resp, text}, nil
}

// api is the address of a path below /v2/.
func (c *conn) api(path string) string { return c.base.String() + "/v2/" + path }

// bearer gives the realm of an answer's Bearer challenge, with its service.
func (a *answer) bearer() (realm *url.URL, service string, err error) {
	list, err := parseChallenges(a.Header.Values("WWW-Authenticate"))
	if err != nil {
		return nil, "", err
	}
	for _, ch := range list {
		if ch.scheme != "bearer" {
			continue
		}
		realm, err := url.Parse(ch.params["realm"])
		if err != nil || realm.Host == "" {
			return nil, "", errors.New("the Bearer challenge names no realm")
		}
		return realm, ch.params["service"], nil
	}
	return nil, "", errors.New("there is no Bearer challenge")
}

// said is what a server's error answer tells, in one short line.
func (a *answer) said() string {
	var structured struct {
		Errors []struct{ Code, Message string }
	}
	text := strings.TrimSpace(string(a.body))
	if json.Unmarshal(a.body, &structured) == nil && len(structured.Errors) > 0 {
		text = strings.TrimSpace(structured.Errors[0].Code + " " + structured.Errors[0].Message)
	} else if strings.HasPrefix(text, "<") {
		text = ""
	}
	text, _, _ = strings.Cut(text, "\n")
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	if text == "" {
		return a.Status
	}
	return a.Status + ": " + text
}
