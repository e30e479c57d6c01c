package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
)

// archive packs files for the Engine's archive API.
func archive(files map[string]string) (*bytes.Buffer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for _, h := range []*tar.Header{
			{Typeflag: tar.TypeDir, Name: path.Dir(name) + "/", Mode: 0o755},
			{Name: name, Mode: 0o600, Size: int64(len(files[name]))},
		} {
			if err := w.WriteHeader(h); err != nil {
				return nil, fmt.Errorf("pack %s: %w", name, err)
			}
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack archive: %w", err)
	}
	return &b, nil
}
