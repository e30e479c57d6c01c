package traefik

import (
	"net/netip"
	"strings"

	"github.com/heptaup/hepta/internal/pattern"
)

var hostLabel = pattern.New(`^[a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$`)

// isHost reports whether name can be matched by a router: a DNS name or an IPv4
// address, without scheme, port, path or final dot.
func isHost(name string) bool {
	if isAddress(name) {
		return true
	}
	if name == "" || len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !hostLabel().MatchString(label) {
			return false
		}
	}
	// A name that ends in a number is read as an address by everyone else.
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func isAddress(name string) bool {
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Is4()
}
