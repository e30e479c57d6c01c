// Package install holds that hepta can be had without a clone: what git tracks
// makes a module that the go command takes, installs and imports.
package install

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/mod/zip"
)

// Every file has a name and a size that Go allows in a module.
func TestModuleZip(t *testing.T) {
	checked, err := zip.CheckFiles(trackedFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(checked.Valid) < 100 {
		t.Errorf("only %d files are in the module", len(checked.Valid))
	}
}

// hepta is installed by its version alone, and others import its packages.
func TestInstall(t *testing.T) {
	p := publish(t)
	bin := t.TempDir()
	p.env = append(p.env, "GOBIN="+bin)
	p.run(t, bin, "go", "install", modulePath+"/cmd/hepta@"+p.version)
	hepta := filepath.Join(bin, "hepta")
	if got, want := p.run(t, bin, hepta, "version"), "hepta "+p.version+"\n"; got != want {
		t.Errorf("it says that it is %q, want %q", got, want)
	}

	user := t.TempDir()
	if err := os.WriteFile(filepath.Join(user, "main.go"), []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	p.run(t, user, "go", "mod", "init", "example.org/user")
	p.run(t, user, "go", "get", modulePath+"@"+p.version)
	if got := p.run(t, user, "go", "run", "-mod=mod", "."); got != "hg.example.org\n" {
		t.Errorf("a program that imports it says %q", got)
	}

	t.Run("trial", func(t *testing.T) { p.trialFindsItsSource(t, hepta) })
}

// program is what somebody writes who imports hepta.
const program = `package main

import (
	"fmt"
	"log"

	"github.com/heptaup/hepta"
	_ "github.com/heptaup/hepta/heptapod/heptapodtest"
)

func main() {
	cfg, err := hepta.Parse("hepta.yaml", []byte("forge: hg.example.org\n"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(cfg.Forge.Host)
}
`

// A trial makes the stand-in for the forge from this module's source. An
// installed hepta has it in the module cache, fetches it by its version, or
// says what to do.
func (p published) trialFindsItsSource(t *testing.T, hepta string) {
	p.env = append(p.env, "DOCKER_HOST="+engineWithoutImages(t), "GOCACHE="+goenv(t, "GOCACHE"), "XDG_CACHE_HOME="+t.TempDir())
	try := func() string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), hepta, "try")
		cmd.Dir, cmd.Env = t.TempDir(), p.env
		out, err := cmd.CombinedOutput()
		if err == nil {
			t.Fatalf("it found images: %s", out)
		}
		return string(out)
	}
	if said := try(); !strings.Contains(said, endOfTrial) {
		t.Errorf("with its source in the module cache: %s", said)
	}
	remove(t, p.unpacked)
	if said := try(); !strings.Contains(said, endOfTrial) {
		t.Errorf("with its source on the proxy: %s", said)
	}
	remove(t, p.unpacked)
	remove(t, p.downloaded)
	p.env = append(p.env, "GOPROXY=off")
	if said := try(); !strings.Contains(said, "find the source of") || !strings.Contains(said, "go install "+modulePath+"/cmd/hepta@latest") {
		t.Errorf("without its source: %s", said)
	}
}

const endOfTrial = "the list of images is not for you"

// engineWithoutImages is the address of a Docker Engine that answers as far as
// a trial asks before it needs one.
func engineWithoutImages(t *testing.T) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("API-Version", "1.45")
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/_ping"):
		case strings.HasSuffix(r.URL.Path, "/version"):
			fmt.Fprintf(w, `{"Version":"26.1.5","ApiVersion":"1.45","Os":"linux","Arch":%q}`, runtime.GOARCH)
		default:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, `{"message":%q}`, endOfTrial)
		}
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return "unix://" + socket
}
