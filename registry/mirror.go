package registry

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/heptaup/hepta/internal/converge"
)

// The mirror's defaults.
const (
	DefaultMirrorImage  = "registry:3.1.2"
	DefaultMirrorRemote = "https://registry-1.docker.io"
	DefaultMirrorPort   = 5088
)

// MirrorService is the mirror's short name inside a stack.
const MirrorService = "mirror"

const (
	fileMirror   = "mirror/config/config.yml"
	mirrorDir    = "/etc/hepta/mirror"
	mirrorListen = 5000
)

// Mirror is a registry that fetches what it is asked for from another one,
// Docker Hub, and keeps it for a while: a Docker daemon that is told of it
// fetches an image from there once. The zero value of a field is its default.
type Mirror struct {
	Stack   string // default "hepta"
	Data    string // directory on the Docker host; default /srv/ and Stack
	Network string // default "web"
	Image   string // default DefaultMirrorImage
	// Remote is the registry behind it; default DefaultMirrorRemote. It has to
	// answer when the mirror starts.
	Remote string
	// Credentials are for Remote, where it gives more to those it knows. What
	// they may pull everybody may who reaches the mirror.
	Credentials Credentials
	// Port is published on HostIP; default DefaultMirrorPort.
	Port int
	// HostIP is an address of the Docker host; default converge.HostGateway,
	// where its containers reach it and nobody else.
	HostIP string
	// Days for which an image is kept after it was fetched; default 7.
	Days int
}

func (m Mirror) withDefaults() Mirror {
	m.Stack = cmp.Or(m.Stack, "hepta")
	m.Data = cmp.Or(m.Data, converge.DefaultData(m.Stack))
	m.Network = cmp.Or(m.Network, "web")
	m.Image = cmp.Or(m.Image, DefaultMirrorImage)
	m.Remote = cmp.Or(m.Remote, DefaultMirrorRemote)
	m.Port = cmp.Or(m.Port, DefaultMirrorPort)
	m.HostIP = cmp.Or(m.HostIP, converge.HostGateway)
	m.Days = cmp.Or(m.Days, 7)
	return m
}

// resources are what the mirror needs on its host.
func (m Mirror) resources() (converge.Stack, error) {
	m = m.withDefaults()
	config, err := m.config()
	if err != nil {
		return converge.Stack{}, err
	}
	files := []converge.File{{Path: fileMirror, Mode: 0o600, Content: config, Secret: !m.Credentials.Password.Empty()}}
	if files[0].Secret {
		files = append(files, converge.KeyFile(fileMirror))
	}
	return converge.Stack{
		Name:     m.Stack,
		Data:     m.Data,
		Networks: []converge.Network{{Name: m.Network}},
		Files:    files,
		Containers: []converge.Container{{
			Service: MirrorService,
			Name:    m.Stack + "-" + MirrorService,
			Image:   m.Image,
			Cmd:     []string{mirrorDir + "/config.yml"},
			Mounts: []converge.Mount{
				{Kind: converge.Data, Source: "mirror/config", Target: mirrorDir, ReadOnly: true},
				{Kind: converge.Data, Source: "mirror/data", Target: "/var/lib/registry"},
			},
			Networks:    []converge.Attachment{{Network: m.Network}},
			Ports:       []converge.Port{{HostIP: m.HostIP, Host: m.Port, Container: mirrorListen}},
			CapDrop:     []string{"ALL"}, // the files of the mirror are root's, as it is
			SecurityOpt: []string{"no-new-privileges:true"},
			ReadOnly:    true,
			Tmpfs:       []string{"/tmp"},
			PidsLimit:   1024,
			Restart:     "unless-stopped",
			LogMaxSize:  "10m",
			LogMaxFiles: 3,
			Health: &converge.Health{
				Test:     []string{"CMD", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:" + strconv.Itoa(mirrorListen) + "/v2/"},
				Interval: 5 * time.Second, Timeout: 10 * time.Second, StartPeriod: 20 * time.Second, StartInterval: time.Second, Retries: 3,
			},
			// It reads its configuration when it starts.
			RecreateOn: []string{fileMirror},
		}},
	}, nil
}

// config is the registry's own configuration.
func (m Mirror) config() ([]byte, error) {
	proxy := map[string]any{"remoteurl": m.Remote, "ttl": fmt.Sprintf("%dh", 24*m.Days)}
	if m.Credentials.User != "" {
		proxy["username"], proxy["password"] = m.Credentials.User, m.Credentials.Password.Reveal()
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	err := enc.Encode(map[string]any{
		"version": 0.1,
		"log":     map[string]any{"level": "info"},
		"storage": map[string]any{
			"filesystem": map[string]any{"rootdirectory": "/var/lib/registry"},
			"delete":     map[string]any{"enabled": true}, // what is too old goes
		},
		"http":  map[string]any{"addr": fmt.Sprintf(":%d", mirrorListen)},
		"proxy": proxy,
	})
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write configuration of mirror: %w", err)
	}
	return out.Bytes(), nil
}
