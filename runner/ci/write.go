package ci

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"github.com/heptaup/hepta/internal/fault"
)

// Outcome says what came of a file.
type Outcome string

// What can come of a file.
const (
	Written  Outcome = "written"  // there was none
	Replaced Outcome = "replaced" // there was another one
	Same     Outcome = "same"     // it was like this already
	Kept     Outcome = "kept"     // a Dockerfile that was there
)

// File is one file of a repository.
type File struct {
	Path    string  `json:"path"`
	Outcome Outcome `json:"outcome,omitempty"`
	Content string  `json:"content,omitempty"`
}

// Write writes the draft's .gitlab-ci.yml into a directory, and a Dockerfile
// where none is there. Each file appears whole or not at all. Another
// .gitlab-ci.yml is left alone unless replace says otherwise: the error is a
// *fault.Error that wraps fs.ErrExist and tells the lines that differ.
func (d Draft) Write(dir string, replace bool) ([]File, error) {
	pipeline, err := d.YAML()
	if err != nil {
		return nil, err
	}
	first, err := d.Dockerfile()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, PipelineFile)
	outcome, err := look(path, pipeline, replace)
	if err != nil {
		return nil, err
	}
	var out []File
	add := func(name string, o Outcome, content []byte) error {
		at := filepath.Join(dir, name)
		var err error
		switch o {
		case Written:
			err = create(at, content)
		case Replaced:
			err = renameio.WriteFile(at, content, 0o644)
		}
		if err != nil {
			return unwritten(at, err)
		}
		out = append(out, File{Path: at, Outcome: o})
		return nil
	}
	if err := add(PipelineFile, outcome, pipeline); err != nil {
		return out, err
	}
	docker := Written
	if _, err := os.Lstat(filepath.Join(dir, Dockerfile)); err == nil {
		docker = Kept
	}
	return out, add(Dockerfile, docker, first)
}

// look says what is to be done about a file that is to have a content.
func look(path string, content []byte, replace bool) (Outcome, error) {
	have, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Written, nil
	case err != nil:
		return "", fmt.Errorf("read what is there: %w", err)
	case bytes.Equal(have, content):
		return Same, nil
	case replace:
		return Replaced, nil
	}
	return "", &fault.Error{Op: "write", What: path, Err: fs.ErrExist,
		Why:    fs.ErrExist.Error() + " and is another one; - is there, + would be written:\n" + difference(string(have), string(content)),
		Remedy: "Take over what you want of it, or replace the file with --force."}
}

// unwritten says that a file could not be written and is as it was.
func unwritten(path string, err error) error {
	remedy := "Make room for it, or see who may write there, and run the same command again."
	var failed *fs.PathError
	switch {
	case errors.Is(err, fs.ErrExist):
		err, remedy = fs.ErrExist, "It was not there a moment ago: look at it, and run the same command again."
	case errors.As(err, &failed):
		err = failed.Err // its path is that of a file that is gone
	}
	return &fault.Error{Op: "write", What: path, Err: err, Remedy: remedy}
}

// create writes a file that must not be there: it is written beside its place
// and linked, which nothing else that comes to be there can lose by.
func create(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}
