package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/heptaup/hepta/internal/bom"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/pattern"
	"github.com/heptaup/hepta/internal/secret"
)

var (
	// itself is a token of GitLab where the place of one belongs.
	itself       = pattern.New(`^(env:)?(gl[a-z]+-|GR1348941)[A-Za-z0-9_.-]+$`)
	variableName = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// readToken reads what --token-file names, as token_file in hepta.yaml does: a
// file, a variable as env:NAME, or standard input as -. No error shows what
// was read, or what looks like a token itself.
func readToken(t terminal, place string) ([]byte, error) {
	if place == "-" {
		return readPassword(t.in)
	}
	name, variable := strings.CutPrefix(place, "env:")
	if itself().MatchString(place) {
		return nil, usage{errors.New("--token-file takes the place of a token and not the token itself: a file, env:NAME, or - for standard input")}
	}
	if !variable {
		return readPrivate(t, place, maxToken)
	}
	if !variableName().MatchString(name) {
		return nil, usage{errors.New("--token-file: behind env: comes the name of a variable")}
	}
	text, set := os.LookupEnv(name)
	switch {
	case !set:
		return nil, usage{fmt.Errorf("--token-file env:%s: the environment has no variable %s", name, name)}
	case len(text) > maxToken:
		return nil, fmt.Errorf("it has more than %d bytes", maxToken)
	}
	return []byte(text), nil
}

// readPrivate reads a file that is for its owner's eyes, of so many bytes at
// most.
func readPrivate(t terminal, path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	var failed *fs.PathError
	if errors.As(err, &failed) {
		return nil, &fault.Error{Op: failed.Op, What: failed.Path, Err: failed.Err}
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	warnOfExposed(t, path)
	return readBounded(f, most)
}

// warnOfExposed tells of a file with secrets that everybody can read.
func warnOfExposed(t terminal, path string) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	if text := secret.Exposed(path, info.Mode()); text != "" {
		fmt.Fprintln(t.err, "warning: "+text)
	}
}

func readPassword(in io.Reader) ([]byte, error) { return readBounded(in, maxToken) }

func readBounded(in io.Reader, most int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(in, most+1))
	text = bom.Trim(text)
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	return text, err
}
