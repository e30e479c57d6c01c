package registry

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// image is a whole image in memory. Docker takes the media types of the OCI
// since 1.10, every registry that the forge carries as well.
type image struct {
	manifest      []byte
	config, layer []byte
}

// newImage makes an image whose one layer holds one short file. No two are
// alike, so that no registry has one already.
func newImage() (*image, error) {
	text := "Pushed by hepta to see whether the registry works: " + rand.Text() + "\n"
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	if err := w.WriteHeader(&tar.Header{Name: "hepta-check", Mode: 0o644, Size: int64(len(text))}); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	i := &image{layer: layer.Bytes()}
	var err error
	i.config, err = json.Marshal(v1.Image{
		Platform: v1.Platform{OS: "linux", Architecture: "amd64"},
		RootFS:   v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromBytes(i.layer)}},
	})
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	i.manifest, err = json.Marshal(v1.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: v1.MediaTypeImageManifest,
		Config:    describe(v1.MediaTypeImageConfig, i.config),
		Layers:    []v1.Descriptor{describe(v1.MediaTypeImageLayer, i.layer)},
	})
	if err != nil {
		return nil, fmt.Errorf("make image: %w", err)
	}
	return i, nil
}

func describe(kind string, content []byte) v1.Descriptor {
	return v1.Descriptor{MediaType: kind, Digest: digest.FromBytes(content), Size: int64(len(content))}
}

// digest names the image.
func (i *image) digest() digest.Digest { return digest.FromBytes(i.manifest) }
