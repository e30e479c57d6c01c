package traefik

import (
	_ "embed"
	"path"
	"time"

	"github.com/heptaup/hepta/internal/converge"
)

// SocketProxyService is the short name, inside its stack, of what stands
// between the proxy and the Engine's socket: HAProxy, which lets nothing
// through but what finding containers takes.
const SocketProxyService = "socket-proxy"

const (
	socketProxyFile = "socket-proxy/haproxy.cfg"
	socketProxyDir  = "/etc/hepta/socket-proxy"
)

//go:embed haproxy.cfg
var socketProxyConfig []byte

// socketNetwork is the network that the proxy and the socket proxy share with
// nobody.
func socketNetwork(stack string) string { return stack + "-socket" }

func socketProxyName(stack string) string { return stack + "-" + SocketProxyService }

// socketProxyAddress is where the proxy finds the Engine's API.
func (cfg Config) socketProxyAddress() string { return "tcp://" + socketProxyName(cfg.Stack) + ":2375" }

// socketProxy is the one container that is given the Engine's socket for the
// proxy's sake. It is root because the socket is root's, without any of root's
// capabilities.
func (cfg Config) socketProxy() converge.Stack {
	network := socketNetwork(cfg.Stack)
	return converge.Stack{
		Networks: []converge.Network{{Name: network, Internal: true}},
		Files:    []converge.File{{Path: socketProxyFile, Mode: 0o644, Content: socketProxyConfig}},
		Containers: []converge.Container{{
			Service:    SocketProxyService,
			Name:       socketProxyName(cfg.Stack),
			Image:      cfg.SocketProxyImage,
			Entrypoint: []string{"haproxy"},
			Cmd:        []string{"-db", "-f", path.Join(socketProxyDir, path.Base(socketProxyFile))},
			User:       "0:0",
			Mounts: []converge.Mount{
				{Kind: converge.HostPath, Source: cfg.Socket, Target: "/var/run/docker.sock", ReadOnly: true},
				{Kind: converge.Data, Source: path.Dir(socketProxyFile), Target: socketProxyDir, ReadOnly: true},
			},
			// A replacement that is being tried does not have the name yet.
			Networks:    []converge.Attachment{{Network: network, Aliases: []string{socketProxyName(cfg.Stack)}}},
			CapDrop:     []string{"ALL"},
			SecurityOpt: []string{"no-new-privileges:true"},
			ReadOnly:    true,
			PidsLimit:   32,
			Restart:     "unless-stopped",
			StopSignal:  "SIGTERM", // at once: the proxy's stream of events has no end to wait for
			StopTimeout: 10 * time.Second,
			LogMaxSize:  "10m",
			LogMaxFiles: 3,
			// What is wrong with its configuration it says at once.
			Ready:      converge.Ready{Settle: 500 * time.Millisecond},
			RecreateOn: []string{socketProxyFile},
		}},
	}
}
