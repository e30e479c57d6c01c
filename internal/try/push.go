package try

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"
)

// pusher pushes the worked example with hg from a container inside the
// sandbox, so that a trial needs neither hg nor DNS nor trust on this machine.
type pusher struct {
	docker   client.APIClient // the sandbox's engine
	image    string           // holds hg
	stack    string
	url      string // of the project, without credentials
	host     string
	user     string
	password string
	ca       []byte
}

// script is run by the container; every secret comes from a file.
const script = `set -e
cd /trial/project
export HGRCPATH=/trial/hgrc HGPLAIN=1
hg init -q .
hg addremove -q
hg commit -q -m "Build an image, twice"
hg push --new-branch "$1"
`

func (p pusher) push(ctx context.Context) error {
	files, err := projectFiles("trial/project")
	if err != nil {
		return err
	}
	rc := fmt.Sprintf("[ui]\nusername = hepta try <root@%s>\n[web]\ncacerts = /trial/ca.crt\n[auth]\nforge.prefix = %s\nforge.username = %s\nforge.password = %s\n",
		p.host, p.host, p.user, p.password)
	files = append(files,
		file{path: "trial/ca.crt", content: p.ca, mode: 0o644},
		file{path: "trial/hgrc", content: []byte(rc), mode: 0o600},
	)
	pack, err := archive(files)
	if err != nil {
		return err
	}
	made, err := p.docker.ContainerCreate(ctx,
		&container.Config{
			Image:      p.image,
			Entrypoint: []string{"sh", "-c", script, "push", p.url},
			Labels:     map[string]string{labelTrial: p.stack},
		},
		&container.HostConfig{NetworkMode: "host"}, nil, nil, "")
	if err != nil {
		return fmt.Errorf("create container for hg: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
		defer cancel()
		_ = p.docker.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true, RemoveVolumes: true}) // the sandbox goes anyway
	}()
	if err := p.docker.CopyToContainer(ctx, made.ID, "/", pack, container.CopyToContainerOptions{}); err != nil {
		return fmt.Errorf("put worked example into container: %w", err)
	}
	exited, failed := p.docker.ContainerWait(ctx, made.ID, container.WaitConditionNextExit)
	if err := p.docker.ContainerStart(ctx, made.ID, container.StartOptions{}); err != nil {
		return fmt.Errorf("start hg: %w", err)
	}
	select {
	case err := <-failed:
		return fmt.Errorf("wait for hg: %w", err)
	case e := <-exited:
		if e.StatusCode == 0 {
			return nil
		}
		return fmt.Errorf("push with hg to %s: exit code %d: %s", p.url, e.StatusCode, p.lastWords(ctx, made.ID))
	}
}

func (p pusher) lastWords(ctx context.Context, id string) string {
	logs, err := p.docker.ContainerLogs(ctx, id, container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: "10"})
	if err != nil {
		return "no log: " + err.Error()
	}
	defer logs.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, logs); err != nil && err != io.EOF {
		return "no log: " + err.Error()
	}
	return strings.TrimSpace(out.String())
}
