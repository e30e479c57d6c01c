package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"

	"github.com/heptaup/hepta/internal/images"
)

// plainImages makes two images on the nested Engine that differ in nothing but
// their id.
func (b *bench) plainImages(ctx context.Context) error {
	if b.small != "" {
		return nil
	}
	made, err := images.Ensure(ctx, b.outer, b.sink(), images.Small)
	if err != nil {
		return err
	}
	if err := images.Copy(ctx, b.outer, b.inner, made[images.Small]); err != nil {
		return err
	}
	base, err := b.inner.ContainerCreate(ctx, &container.Config{Image: made[images.Small].Local}, nil, nil, nil, "")
	if err != nil {
		return fmt.Errorf("make a second image: %w", err)
	}
	for _, tag := range []string{"bench/plain:1", "bench/plain:2"} {
		_, err := b.inner.ContainerCommit(ctx, base.ID, container.CommitOptions{Reference: tag, Changes: []string{"LABEL release=" + tag}})
		if err != nil {
			return fmt.Errorf("make image %s: %w", tag, err)
		}
	}
	if err := b.inner.ContainerRemove(ctx, base.ID, container.RemoveOptions{Force: true}); err != nil {
		return fmt.Errorf("make a second image: %w", err)
	}
	b.small, b.changed = "bench/plain:1", "bench/plain:2"
	return nil
}

// The two sets of plain containers are told apart by these names, which are
// also their networks'.
const (
	plainHepta   = "ours"
	plainCompose = "theirs"
)

// plainUp is hepta's way to n plain containers, the last one of an image of
// its own.
func (b *bench) plainUp(n int, last string) func(context.Context) error {
	return b.command(b.plain, "-name", plainHepta, "-n", strconv.Itoa(n), "-image", b.small, "-last", last)
}

// traced shows the calls of one more plain up, after what has to be before.
func (b *bench) traced(ctx context.Context, n int, last string, before func(context.Context) error) error {
	if !b.trace {
		return nil
	}
	if err := before(ctx); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, b.plain, "-trace", "-name", plainHepta, "-n", strconv.Itoa(n), "-image", b.small, "-last", last)
	cmd.Env = []string{"DOCKER_HOST=unix://" + b.socket}
	cmd.Stdout, cmd.Stderr = b.out, b.out
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("trace: %w", err)
	}
	b.say("in all %d ms", time.Since(began).Milliseconds())
	return nil
}

// composeUp is compose's way to the same.
func (b *bench) composeUp(n int, last string) (func(context.Context) error, error) {
	services := map[string]any{}
	for i := 1; i <= n; i++ {
		image := b.small
		if i == n {
			image = last
		}
		services["c"+strconv.Itoa(i)] = map[string]any{
			"image": image, "command": []string{"sleep", "86400"}, "stop_signal": "SIGKILL", "networks": []string{"plain"},
		}
	}
	file := filepath.Join(b.dir, fmt.Sprintf("plain-%d-%s.yaml", n, filepath.Base(last)))
	err := writeJSON(file, map[string]any{
		"name": plainCompose, "services": services, "networks": map[string]any{"plain": map[string]any{"name": plainCompose}},
	})
	return b.command(b.compose, "-f", file, "up", "-d"), err
}

// clear removes one set of plain containers and its network.
func (b *bench) clear(name string) func(context.Context) error {
	key := "hepta.stack="
	if name == plainCompose {
		key = "com.docker.compose.project="
	}
	return func(ctx context.Context) error {
		list, err := b.inner.ContainerList(ctx, container.ListOptions{All: true, Filters: filters.NewArgs(filters.Arg("label", key+name))})
		if err != nil {
			return fmt.Errorf("list containers: %w", err)
		}
		for _, c := range list {
			if err := b.inner.ContainerRemove(ctx, c.ID, container.RemoveOptions{Force: true}); err != nil {
				return fmt.Errorf("remove container: %w", err)
			}
		}
		if len(list) == 0 {
			return nil
		}
		if err := b.inner.NetworkRemove(ctx, name); err != nil {
			return fmt.Errorf("remove network: %w", err)
		}
		return nil
	}
}

func writeJSON(file string, v any) error {
	content, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	if err := os.WriteFile(file, content, 0o644); err != nil {
		return fmt.Errorf("write %s: %w", filepath.Base(file), err)
	}
	return nil
}
