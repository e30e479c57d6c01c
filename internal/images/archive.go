package images

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
)

// sorted ranges over a map by key.
func sorted[K cmp.Ordered, V any](m map[K]V) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// pack writes the recipe's layer: directories, files, links and programs.
// binaries maps a program's name to its file. Directories that are not listed
// get no entry, because one would take the place of a symbolic link such as
// /bin; the Engine makes those that are missing.
func (r recipe) pack(w io.Writer, binaries map[string]string) error {
	t := tar.NewWriter(w)
	for path, mode := range sorted(r.dirs) {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: path + "/", Mode: int64(mode)}); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	if r.files != nil {
		err := fs.WalkDir(r.files, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			b, err := fs.ReadFile(r.files, path)
			if err != nil {
				return err
			}
			return packFile(t, path, b)
		})
		if err != nil {
			return fmt.Errorf("pack files: %w", err)
		}
	}
	for path, text := range sorted(r.texts) {
		if err := packFile(t, path, []byte(text)); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	for path, target := range sorted(r.links) {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: path, Linkname: target, Mode: 0o777}); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	for path, name := range sorted(r.programs) {
		if err := packProgram(t, path, binaries[name]); err != nil {
			return fmt.Errorf("pack %s: %w", path, err)
		}
	}
	return t.Close()
}

// packFile adds a file, executable when it is a script.
func packFile(t *tar.Writer, path string, content []byte) error {
	mode := int64(0o644)
	if bytes.HasPrefix(content, []byte("#!")) {
		mode = 0o755
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: mode, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := t.Write(content)
	return err
}

func packProgram(t *tar.Writer, path, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: path, Mode: 0o755, Size: info.Size()}); err != nil {
		return err
	}
	_, err = io.Copy(t, f)
	return err
}

// applets are the names under which busybox is found in the small image.
const applets = "[ ash awk base64 basename cat chgrp chmod chown cmp cp cut date dd df diff dirname du echo env expr " +
	"false find grep gunzip gzip head hostname httpd id ip kill killall ln ls md5sum mkdir mkfifo mktemp more mv nc " +
	"nslookup od ping printf ps pwd readlink realpath rm rmdir sed seq sh sha256sum sleep sort stat stty " +
	"su sync tail tar tee test time timeout touch tr true tty uname uniq uptime vi wc wget which whoami xargs yes"

// The two files of the base image that the small one consists of.
const (
	busyboxFile      = "usr/bin/busybox"
	certificatesFile = "etc/ssl/certs/ca-certificates.crt"
)

// packSmall writes the small image's root file system.
func packSmall(w io.Writer, busybox, certificates []byte, names []string) error {
	t := tar.NewWriter(w)
	dirs := []struct {
		name string
		mode int64
	}{
		{"bin", 0o755}, {"dev", 0o755}, {"etc", 0o755}, {"etc/ssl", 0o755}, {"etc/ssl/certs", 0o755}, {"home", 0o755},
		{"proc", 0o755}, {"root", 0o700}, {"sys", 0o755}, {"tmp", 0o1777}, {"usr", 0o755}, {"usr/bin", 0o755},
		{"usr/local", 0o755}, {"usr/local/bin", 0o755}, {"var", 0o755}, {"var/lib", 0o755}, {"var/log", 0o755},
	}
	for _, d := range dirs {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: d.name + "/", Mode: d.mode}); err != nil {
			return fmt.Errorf("pack %s: %w", d.name, err)
		}
	}
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755, Size: int64(len(busybox))}); err != nil {
		return fmt.Errorf("pack busybox: %w", err)
	}
	if _, err := t.Write(busybox); err != nil {
		return fmt.Errorf("pack busybox: %w", err)
	}
	for _, n := range names {
		if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + n, Linkname: "busybox", Mode: 0o777}); err != nil {
			return fmt.Errorf("pack %s: %w", n, err)
		}
	}
	etc := []struct{ name, content string }{
		{certificatesFile, string(certificates)},
		{"etc/group", "root:x:0:\nnogroup:x:65534:\n"},
		{"etc/nsswitch.conf", "hosts: files dns\n"},
		{"etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"},
	}
	for _, f := range etc {
		if err := packFile(t, f.name, []byte(f.content)); err != nil {
			return fmt.Errorf("pack %s: %w", f.name, err)
		}
	}
	return t.Close()
}
