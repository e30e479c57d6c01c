package heptapodcontainer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/fault"
)

// hostAddress is an address of the Engine's host under which its containers and
// this process both reach what it publishes.
func hostAddress(ctx context.Context, docker client.APIClient) (string, error) {
	var tried []string
	for _, find := range []func(context.Context, client.APIClient) string{engineAddress, bridgeAddress, ownAddress} {
		address := find(ctx, docker)
		if address == "" {
			continue
		}
		if reachable(ctx, address) {
			return address, nil
		}
		tried = append(tried, address)
	}
	if err := ctx.Err(); err != nil {
		return "", err
	}
	return "", &fault.Error{
		Op: "find an address for", What: "the forge",
		Why:    "of those that the Engine's host may have none answers: " + strings.Join(tried, ", "),
		Remedy: "Name one with WithHost that leads to published ports from this machine and from containers.",
	}
}

// engineAddress is the address of an Engine on another machine.
func engineAddress(ctx context.Context, docker client.APIClient) string {
	u, err := url.Parse(docker.DaemonHost())
	if err != nil || u.Hostname() == "" {
		return ""
	}
	ips, err := net.DefaultResolver.LookupIP(ctx, "ip4", u.Hostname())
	if err != nil || len(ips) == 0 || ips[0].IsLoopback() {
		return ""
	}
	return ips[0].String()
}

// bridgeAddress is the host's address on the bridge of an Engine on this
// machine. An Engine that took over a bridge names the subnet alone; then it is
// the subnet's first address.
func bridgeAddress(ctx context.Context, docker client.APIClient) string {
	bridge, err := docker.NetworkInspect(ctx, "bridge", network.InspectOptions{})
	if err != nil {
		return ""
	}
	for _, c := range bridge.IPAM.Config {
		address, _, _ := strings.Cut(c.Gateway, "/")
		if address == "" {
			if subnet, err := netip.ParsePrefix(c.Subnet); err == nil {
				address = subnet.Masked().Addr().Next().String()
			}
		}
		if ip, err := netip.ParseAddr(address); err == nil && ip.Is4() {
			return address
		}
	}
	return ""
}

// ownAddress is the address from which this machine would reach the Internet.
// Nothing is sent to find out.
func ownAddress(ctx context.Context, _ client.APIClient) string {
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp4", "192.0.2.1:9")
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}

// reachable reports whether a machine answers at address, if only by a refusal.
func reachable(ctx context.Context, address string) bool {
	conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(address, "1"))
	if err == nil {
		conn.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}

// freePorts finds n ports that are free at this moment on this machine.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", ":0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		defer l.Close() // all are held until the last one is found
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// portTaken reports whether the Engine could not publish a port.
func portTaken(err error) bool {
	if err == nil {
		return false
	}
	text := err.Error()
	return strings.Contains(text, "port is already allocated") || strings.Contains(text, "address already in use") ||
		strings.Contains(text, "ports are not available")
}
