package images

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/client"
)

// The labels by which an image of this package is found again.
const (
	labelName   = "hepta.made.name"
	labelInputs = "hepta.made.inputs"
)

// heldImage is an image that the Engine holds.
type heldImage struct {
	id   string
	made time.Time
}

// held lists the images of this package that the Engine holds, by name and
// inputs.
func held(ctx context.Context, docker client.APIClient) (map[Name]map[string]heldImage, error) {
	list, err := docker.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", labelInputs))})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	found := map[Name]map[string]heldImage{}
	for _, i := range list {
		name, inputs := Name(i.Labels[labelName]), i.Labels[labelInputs]
		// An image made from one of these has its labels and another name.
		if len(inputs) < 12 || !slices.Contains(i.RepoTags, local(name, inputs)) {
			continue
		}
		if found[name] == nil {
			found[name] = map[string]heldImage{}
		}
		found[name][inputs] = heldImage{i.ID, time.Unix(i.Created, 0)}
	}
	return found, nil
}

// importTar makes an image whose only layer is a tar file.
func (m *maker) importTar(ctx context.Context, r recipe, inputs string, layer io.Reader) (string, error) {
	changes := []string{"LABEL " + labelName + "=" + string(r.name), "LABEL " + labelInputs + "=" + inputs}
	for _, e := range r.config.Env {
		changes = append(changes, "ENV "+e)
	}
	cmd, err := json.Marshal(r.config.Cmd)
	if err != nil {
		return "", fmt.Errorf("import image %s: %w", r.name, err)
	}
	changes = append(changes, "CMD "+string(cmd))
	for port := range sorted(r.config.ExposedPorts) {
		changes = append(changes, "EXPOSE "+string(port))
	}
	ref := local(r.name, inputs)
	out, err := m.docker.ImageImport(ctx, image.ImportSource{Source: layer, SourceName: "-"}, ref, image.ImportOptions{Changes: changes})
	if err != nil {
		return "", fmt.Errorf("import image %s: %w", r.name, err)
	}
	defer out.Close()
	if err := streamError(out); err != nil {
		return "", fmt.Errorf("import image %s: %w", r.name, err)
	}
	return m.id(ctx, ref)
}

// commit makes an image from its parent and one layer on top.
func (m *maker) commit(ctx context.Context, r recipe, inputs, parent string, binaries map[string]string) (id string, err error) {
	config := r.config
	config.Image = parent
	config.Labels = map[string]string{labelName: string(r.name), labelInputs: inputs}
	maps.Copy(config.Labels, r.config.Labels)
	if config.Entrypoint == nil {
		config.Entrypoint = []string{}
	}
	name := "hepta-making-" + string(r.name)
	if err := m.remove(ctx, name); err != nil {
		return "", err
	}
	made, err := m.docker.ContainerCreate(ctx, &config, nil, nil, nil, name)
	if err != nil {
		return "", fmt.Errorf("create container for image %s: %w", r.name, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, m.remove(ctx, made.ID))
	}()
	layer := piped(func(w io.Writer) error { return r.pack(w, binaries) })
	defer layer.Close()
	if err := m.docker.CopyToContainer(ctx, made.ID, "/", layer, container.CopyToContainerOptions{}); err != nil {
		return "", fmt.Errorf("fill image %s: %w", r.name, err)
	}
	var changes []string
	for _, v := range r.volumes {
		changes = append(changes, `VOLUME ["`+v+`"]`)
	}
	done, err := m.docker.ContainerCommit(ctx, made.ID, container.CommitOptions{Reference: local(r.name, inputs), Changes: changes})
	if err != nil {
		return "", fmt.Errorf("commit image %s: %w", r.name, err)
	}
	return done.ID, nil
}

// remove removes a container of the maker's own, if it is there.
func (m *maker) remove(ctx context.Context, name string) error {
	err := m.docker.ContainerRemove(ctx, name, container.RemoveOptions{Force: true, RemoveVolumes: true})
	if err != nil && !errdefs.IsNotFound(err) {
		return fmt.Errorf("remove container %s: %w", name, err)
	}
	return nil
}

// read returns files of an image.
func (m *maker) read(ctx context.Context, ref string, paths ...string) (contents [][]byte, err error) {
	made, err := m.docker.ContainerCreate(ctx, &container.Config{Image: ref, Cmd: []string{"true"}}, nil, nil, nil, "")
	if err != nil {
		return nil, fmt.Errorf("create container to read %s: %w", ref, err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		err = errors.Join(err, m.remove(ctx, made.ID))
	}()
	for _, p := range paths {
		stream, _, err := m.docker.CopyFromContainer(ctx, made.ID, p)
		if err != nil {
			return nil, fmt.Errorf("read %s from %s: %w", p, ref, err)
		}
		t := tar.NewReader(stream)
		_, err = t.Next()
		var b []byte
		if err == nil {
			b, err = io.ReadAll(t)
		}
		stream.Close()
		if err != nil {
			return nil, fmt.Errorf("read %s from %s: %w", p, ref, err)
		}
		contents = append(contents, b)
	}
	return contents, nil
}

func (m *maker) id(ctx context.Context, ref string) (string, error) {
	i, err := m.docker.ImageInspect(ctx, ref)
	if err != nil {
		return "", fmt.Errorf("inspect image %s: %w", ref, err)
	}
	return i.ID, nil
}

// forget removes earlier makes of an image. One that a container still uses,
// or that another process may be about to use, stays until a later run.
func (m *maker) forget(ctx context.Context, name Name, inputs string) {
	all, err := held(ctx, m.docker)
	if err != nil {
		return
	}
	for old, i := range all[name] {
		if old != inputs && time.Since(i.made) > grace {
			m.docker.ImageRemove(ctx, local(name, old), image.RemoveOptions{PruneChildren: true})
		}
	}
}

// piped reads what write writes.
func piped(write func(io.Writer) error) io.ReadCloser {
	r, w := io.Pipe()
	go func() { w.CloseWithError(write(w)) }()
	return r
}

// streamError reads the Engine's progress messages to their end and returns
// the error among them.
func streamError(r io.Reader) error {
	d := json.NewDecoder(r)
	for {
		var message struct {
			Error string `json:"error"`
		}
		if err := d.Decode(&message); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if message.Error != "" {
			return errors.New(strings.TrimSpace(message.Error))
		}
	}
}
