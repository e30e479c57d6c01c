package traefik_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/heptaup/hepta/traefik"
)

// A proxy alone, with certificates from Let's Encrypt, on the Engine that the
// docker command would talk to.
func Example() {
	proxy, err := traefik.New(traefik.Config{
		Hosts: []string{"hg.example.org"},
		TLS:   traefik.TLS{Email: "admin@example.org"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := proxy.Up(context.Background()); err != nil {
		fmt.Println(err)
	}
}

// Labels go on a container of the same stack, such as heptapod.Config.Labels:
// see hepta.Combine. Proxy.Labels are for any other container.
func ExampleLabels() {
	cfg := traefik.Config{TLS: traefik.TLS{Email: "admin@example.org"}}
	labels := traefik.Labels(cfg, traefik.Route{Name: "wiki", Host: "wiki.example.org", Port: 8000})
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		fmt.Printf("%s=%s\n", key, labels[key])
	}
	// Output:
	// traefik.docker.network=web
	// traefik.enable=true
	// traefik.http.routers.wiki.entrypoints=websecure
	// traefik.http.routers.wiki.rule=Host(`wiki.example.org`)
	// traefik.http.routers.wiki.service=wiki
	// traefik.http.routers.wiki.tls=true
	// traefik.http.routers.wiki.tls.certresolver=hepta
	// traefik.http.services.wiki.loadbalancer.server.port=8000
}

func ExampleFlags() {
	flags := traefik.Flags(traefik.Config{TLS: traefik.TLS{Mode: traefik.TLSOff}, SSHPort: 2223})
	for _, flag := range flags {
		if strings.HasPrefix(flag, "--entrypoints.") {
			fmt.Println(flag)
		}
	}
	// Output:
	// --entrypoints.traefik.address=127.0.0.1:8080
	// --entrypoints.web.address=:80
	// --entrypoints.ssh.address=:22
	// --entrypoints.web.transport.respondingtimeouts.readtimeout=12h
}

func ExampleCheckVersion() {
	fmt.Println(traefik.CheckVersion("traefik:v3.5", "1.44"))
	fmt.Println(traefik.CheckVersion("traefik:v3.6", "1.44"))
	// Output:
	// use image traefik:v3.5: Traefik before 3.6.1 and 2.11.31 speaks only API 1.24, and this Docker Engine wants 1.44 or newer
	// <nil>
}
