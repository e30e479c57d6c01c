package engine

import (
	"path/filepath"
	"slices"
	"strings"
)

// Reached tells e the address that its Engine was dialled at, for the commands
// that it advises.
func (e *Engine) Reached(host string) *Engine {
	e.cli = cliOptions(host)
	return e
}

// cliOptions are the options with which the docker program reaches an address
// as Dial takes it; none where it finds the same by itself.
func cliOptions(host string) []string {
	if name, ok := strings.CutPrefix(host, "context://"); ok {
		return []string{"--context", name}
	}
	if rest, dir, ok := strings.Cut(host, certsOption); ok {
		return []string{"--tlsverify", "--tlscacert", filepath.Join(dir, "ca.pem"), "--tlscert", filepath.Join(dir, "cert.pem"),
			"--tlskey", filepath.Join(dir, "key.pem"), "-H", rest}
	}
	switch {
	case host == "":
		return nil
	case strings.Contains(host, "://"):
		return []string{"-H", host}
	}
	return []string{"--context", host}
}

// docker is a command of the docker program for this Engine, to be pasted into
// a shell.
func (e *Engine) docker(args ...string) string {
	line := slices.Concat([]string{"docker"}, e.cli, args)
	for i, arg := range line {
		if strings.ContainsFunc(arg, func(r rune) bool {
			return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@=,+", r)
		}) {
			line[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	return strings.Join(line, " ")
}
