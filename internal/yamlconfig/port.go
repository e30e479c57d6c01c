package yamlconfig

import (
	"net/netip"
	"strconv"
	"strings"
)

// ParsePort reads a port to publish: a number, or ADDRESS:NUMBER where it is
// published on one address alone. An address of version 6 stands in brackets.
// Text that is no such port gives the number 0.
func ParsePort(text string) (address string, number int) {
	if at := strings.LastIndexByte(text, ':'); at >= 0 {
		address, text = text[:at], text[at+1:]
		inner, bracketed := strings.CutPrefix(address, "[")
		inner, closed := strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		if err != nil || ip.Zone() != "" || bracketed != closed || ip.Is6() != bracketed {
			return "", 0
		}
		address = ip.String()
	}
	text = strings.ReplaceAll(text, "_", "")
	number, err := strconv.Atoi(text)
	if err != nil || number < 1 || number > 65535 || text[0] == '+' {
		return "", 0
	}
	return address, number
}

func wrongPort(s string) string {
	if _, number := ParsePort(s); number == 0 {
		return "is not a port (1 to 65535), alone or on an address of the Docker host as in 203.0.113.7:443"
	}
	return ""
}
