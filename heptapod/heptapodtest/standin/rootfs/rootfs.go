// Package rootfs holds the files of the stand-in image for the forge, laid out
// as in the image: scripts around the daemon of package standin.
package rootfs

import (
	"embed"
	"io/fs"
)

//go:embed all:files
var files embed.FS

// Files is the tree of the image's own files.
func Files() fs.FS {
	tree, err := fs.Sub(files, "files")
	if err != nil {
		panic(err) // the path is constant
	}
	return tree
}
