package try

import (
	"archive/tar"
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// demo holds the worked example that a trial pushes, and the hepta.yaml of the
// forge that it pushes to.
//
//go:embed demo
var demo embed.FS

// configuration is the trial's hepta.yaml.
func configuration() []byte {
	b, err := demo.ReadFile("demo/hepta.yaml")
	if err != nil {
		panic(err) // the file is part of the program
	}
	return b
}

// homeInside is where a sandbox that is kept has its hepta.yaml.
const homeInside = "/root"

// file is one entry of an archive that is put into a container.
type file struct {
	path    string
	content []byte
	mode    fs.FileMode
}

// projectFiles are the files of the worked example below dir.
func projectFiles(dir string) ([]file, error) {
	var files []file
	for source, name := range map[string]string{
		"demo/Dockerfile":       "Dockerfile",
		"demo/requirements.txt": "requirements.txt",
		"demo/gitlab-ci.yml":    ".gitlab-ci.yml",
	} {
		b, err := demo.ReadFile(source)
		if err != nil {
			return nil, fmt.Errorf("read worked example: %w", err)
		}
		files = append(files, file{path: path.Join(dir, name), content: b, mode: 0o644})
	}
	return files, nil
}

// archive packs files for the Engine's archive API, parents first.
func archive(files []file) (*bytes.Buffer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{}
	for _, f := range files {
		var dir string
		for _, part := range strings.Split(path.Dir(f.path), "/") {
			dir = path.Join(dir, part)
			if dir == "" || made[dir] {
				continue
			}
			made[dir] = true
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
				return nil, fmt.Errorf("pack %s: %w", dir, err)
			}
		}
		h := &tar.Header{Name: f.path, Mode: int64(f.mode.Perm()), Size: int64(len(f.content))}
		if err := w.WriteHeader(h); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.path, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("pack %s: %w", f.path, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack archive: %w", err)
	}
	return &b, nil
}
