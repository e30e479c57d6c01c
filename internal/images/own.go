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

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/hosttool"
)

const (
	thisModule     = "github.com/heptaup/hepta"
	standinPackage = thisModule + "/heptapod/heptapodtest/standin"
	heptaPackage   = thisModule + "/cmd/hepta"
)

// ownModule returns a directory in which go build finds the source of a package
// of this module, as it was for this program: the directory that the program
// was compiled from, which is in the module cache where go install fetched it;
// or else a module made in dir that asks for the program's version, with the
// network's help; or, for a program without a version, a clone around the
// working directory.
func ownModule(ctx context.Context, pkg, dir string) (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		if root := filepath.Dir(filepath.Dir(filepath.Dir(file))); hasPackage(ctx, root, pkg) {
			return root, nil
		}
	}
	version := ownVersion()
	if version == "" {
		if wd, err := os.Getwd(); err == nil && hasPackage(ctx, wd, pkg) {
			return wd, nil
		}
		return "", noSource(pkg, "this hepta has no version, and what it was compiled from is not there", nil)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module own\n\ngo 1.26\n"), 0o644); err != nil {
		return "", fmt.Errorf("make module for %s: %w", pkg, err)
	}
	cmd := exec.CommandContext(ctx, "go", "get", pkg+"@"+version)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", noSource(pkg, "", hosttool.CommandError(ctx, "go get "+pkg+"@"+version, string(out), err))
	}
	return dir, nil
}

// ownVersion is the version under which this program's module can be fetched,
// or "" where it was compiled from something else.
func ownVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Path != thisModule || strings.HasPrefix(info.Main.Version, "(") || strings.Contains(info.Main.Version, "+") {
		return ""
	}
	return info.Main.Version
}

func noSource(pkg, why string, err error) error {
	return &fault.Error{Op: "find the source of", What: pkg, Why: why, Err: err,
		Remedy: "Install hepta where the go command reaches its modules (go install " + heptaPackage + "@latest), or run it inside a clone (go run ./cmd/hepta)."}
}

// hasPackage reports whether a package can be built from dir.
func hasPackage(ctx context.Context, dir, pkg string) bool {
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	cmd := exec.CommandContext(ctx, "go", "list", pkg)
	cmd.Dir, cmd.Env = dir, ownEnv()
	return cmd.Run() == nil
}

// ownEnv is the environment of a go command that only reads.
func ownEnv() []string { return append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly") }

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
	cmd.Env = append(ownEnv(), "GOOS=linux", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", hosttool.CommandError(ctx, "go list "+pkg, errs.String(), err)
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
