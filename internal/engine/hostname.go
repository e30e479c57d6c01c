package engine

import (
	"net/url"

	"github.com/heptaup/hepta/internal/fault"
)

// Hostname is the name or address under which the machine of an Engine is
// reached from here; host is as for Dial. It contacts nobody.
func Hostname(host string) (string, error) {
	at, err := find(host)
	if err != nil {
		return "", err
	}
	u, err := url.Parse(at.host)
	if err != nil {
		return "", &fault.Error{Op: "find machine of Docker Engine at", What: at.host, Why: "that is no address of an Engine"}
	}
	if u.Hostname() == "" {
		return "127.0.0.1", nil // a socket
	}
	return u.Hostname(), nil
}
