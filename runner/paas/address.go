package paas

import (
	"fmt"
	"net/netip"
	"net/url"
)

// IsHTTP reports whether an address is a URL of http or https with a host.
func IsHTTP(address string) bool {
	u, err := url.Parse(address)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != ""
}

func isHTTPS(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.Hostname() != ""
}

// isLocalHTTP reports whether an address is one of this machine, without TLS:
// what is sent there is seen by no network.
func isLocalHTTP(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && ip.IsLoopback()
}

// plainPushError is that of a host that wants its job without TLS.
type plainPushError struct{ scheme string }

func (e *plainPushError) Error() string {
	return fmt.Sprintf("the provider's address to push to has the scheme %q and not https: the job, its secrets and the organisation's token would be sent in plain text", e.scheme)
}

// pushable holds that a job can be pushed to an address that the provider with
// an API named. An API on this machine may name an address on this machine.
func pushable(api, address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Hostname() == "":
		return fmt.Errorf("the provider's address to push to is not a URL")
	case isHTTPS(address), isLocalHTTP(api) && isLocalHTTP(address):
		return nil
	}
	return &plainPushError{u.Scheme}
}
