// Package redirect keeps the credentials of HTTP requests at the server that
// they were sent to.
package redirect

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/heptaup/hepta/internal/fault"
)

// limit is how many redirects are followed in a row.
const limit = 10

// ErrElsewhere is the error of a redirect that is not followed because it leads
// to another server.
var ErrElsewhere = errors.New("the redirect leads to another server")

// SameServer returns a copy of a client, of http.DefaultClient for nil, that
// follows redirects only to the same scheme, host and port, and from http to
// https of a host where both have their default ports. net/http by itself
// takes every header but Authorization and Cookie, and the body of a POST, to
// whatever host an answer names.
func SameServer(client *http.Client) *http.Client {
	if client == nil {
		client = http.DefaultClient
	}
	guarded := *client
	guarded.CheckRedirect = check
	return &guarded
}

func check(to *http.Request, via []*http.Request) error {
	from := via[len(via)-1].URL
	switch {
	case !same(from, to.URL):
		return &fault.Error{
			Op: "follow the redirect", What: fmt.Sprintf("from %s to %s", server(from), server(to.URL)), Err: ErrElsewhere,
			Why:    "it would take a token there",
			Remedy: fmt.Sprintf("If the server has moved, write its new address into the configuration in place of %s.", server(from)),
		}
	case len(via) >= limit:
		return fmt.Errorf("%s redirects for ever: stopped after %d redirects", server(from), limit)
	}
	return nil
}

// same reports whether a redirect stays at its server.
func same(from, to *url.URL) bool {
	if from.Hostname() != to.Hostname() {
		return false
	}
	upgrade := from.Scheme == "http" && to.Scheme == "https" && port(from) == "80" && port(to) == "443"
	return upgrade || from.Scheme == to.Scheme && port(from) == port(to)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// server is what people call the server of a URL; the rest of it may be secret.
func server(u *url.URL) string { return u.Scheme + "://" + u.Host }
