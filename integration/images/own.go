package images

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
)

const (
	thisModule     = "github.com/heptaup/hepta"
	standinPackage = thisModule + "/heptapod/heptapodtest/standin"
	heptaPackage   = thisModule + "/cmd/hepta"
)

// ownModule returns a directory in which go build finds the source of a package
// of this module: a checkout around the working directory, the one that
// this program was compiled from, or else, with the network's help, a module
// made in dir that asks for this program's version.
func ownModule(ctx context.Context, pkg, dir string) (string, error) {
	if wd, err := os.Getwd(); err == nil && golist(ctx, wd, pkg) == nil {
		return wd, nil
	}
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		root := filepath.Dir(filepath.Dir(filepath.Dir(file)))
		if golist(ctx, root, pkg) == nil {
			return root, nil
		}
	}
	version := ""
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Path == thisModule {
		version = info.Main.Version
	}
	if version == "" || strings.HasPrefix(version, "(") || strings.Contains(version, "+") {
		return "", fmt.Errorf("find the source of %s: this program is no released version and there is no checkout of %s here; run it inside a checkout", pkg, thisModule)
	}
	mod := "module own\n\ngo 1.26\n"
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return "", fmt.Errorf("make module for %s: %w", pkg, err)
	}
	cmd := exec.CommandContext(ctx, "go", "get", pkg+"@"+version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("fetch the source of %s: %w; run inside a checkout of %s or with access to Go modules", pkg,
			commandError(ctx, "go get "+pkg+"@"+version, string(out), err), thisModule)
	}
	return dir, nil
}

// golist asks whether a package can be built from dir.
func golist(ctx context.Context, dir, pkg string) error {
	cmd := exec.CommandContext(ctx, "go", "list", pkg)
	cmd.Dir = dir
	return cmd.Run()
}

// ownSources hashes the source of a program of this module and the versions of
// the modules that it uses.
func ownSources(ctx context.Context, pkg string) (string, error) {
	dir, err := os.MkdirTemp("", "hepta-own-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	root, err := ownModule(ctx, pkg, dir)
	if err != nil {
		return "", err
	}
	const format = `{{with .Module}}{{if eq .Path "` + thisModule + `"}}` +
		`{{range $.GoFiles}}file {{$.ImportPath}}/{{.}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{range $.EmbedFiles}}file {{$.ImportPath}}/{{.}} {{$.Dir}}/{{.}}{{"\n"}}{{end}}` +
		`{{else}}module {{.Path}}@{{.Version}}{{"\n"}}{{end}}{{end}}`
	cmd := exec.CommandContext(ctx, "go", "list", "-deps", "-f", format, pkg)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", commandError(ctx, "go list "+pkg, errs.String(), err)
	}
	var parts []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		file, ok := strings.CutPrefix(line, "file ")
		if !ok {
			parts = append(parts, line)
			continue
		}
		name, file, _ := strings.Cut(file, " ")
		b, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("hash the source of %s: %w", pkg, err)
		}
		parts = append(parts, name, string(b))
	}
	return digest(parts...), nil
}
