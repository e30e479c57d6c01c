package engine

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/heptaup/hepta/internal/fault"
)

// TestMain lets the test binary play ssh: it joins its standard streams with
// the socket that the environment names.
func TestMain(m *testing.M) {
	if socket := os.Getenv("HEPTA_TEST_SSH"); socket != "" {
		playSSH(socket)
		return
	}
	if os.Getenv("HEPTA_TEST_CHILD") != "" {
		playChild()
		return
	}
	code := m.Run()
	if err := removeTestImages(); err != nil {
		fmt.Fprintln(os.Stderr, "remove test images:", err)
	}
	os.Exit(code)
}

func playSSH(socket string) {
	if socket == "refuse" {
		fmt.Fprintln(os.Stderr, "Warning: something\nadmin@vm-1: Permission denied (publickey).")
		os.Exit(255)
	}
	if got := strings.Join(os.Args[1:], " "); !strings.HasSuffix(got, "-T -l admin -p 2222 -- vm-1 docker system dial-stdio") || !strings.Contains(got, "-o ServerAliveInterval=15 -o ServerAliveCountMax=4 ") {
		fmt.Fprintln(os.Stderr, "unexpected arguments: "+got)
		os.Exit(1)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go func() {
		_, _ = io.Copy(conn, os.Stdin)
		_ = conn.(*net.UnixConn).CloseWrite()
	}()
	_, _ = io.Copy(os.Stdout, conn)
}

// noEnv keeps the settings of whoever runs the tests out of them.
func noEnv(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION"} {
		t.Setenv(name, "")
	}
	return noConfig(t)
}

// testSocket serves pings of an Engine with some version of the API.
func testSocket(t *testing.T, api string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "hepta") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", api)
		w.Header().Set("Ostype", "linux")
		if strings.HasSuffix(r.URL.Path, "/containers/json") {
			_, _ = io.WriteString(w, `[{"Id":"abc"}]`)
		}
	}))
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return socket
}

func TestDialVersions(t *testing.T) {
	noEnv(t)
	for api, want := range map[string]string{"1.41": "1.41", "1.24": "it is too old (API 1.24, 1.41 is needed)", "1.99": "1.51"} {
		c, err := Dial(t.Context(), "unix://"+testSocket(t, api))
		if err != nil {
			if !strings.Contains(err.Error(), want) || fault.Remedy(err) == "" {
				t.Errorf("API %s: %v", api, err)
			}
			continue
		}
		if got := c.ClientVersion(); got != want {
			t.Errorf("API %s: speaks %s, want %s", api, got, want)
		}
		_ = c.Close()
	}
}

func TestDialFaults(t *testing.T) {
	dir := noEnv(t)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"currentContext":"gone"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]string{
		"unix:///nowhere/docker.sock": "no Docker Engine answers",
		"tcp://127.0.0.1:1":           "no Docker Engine answers",
		"tcp://nobody.invalid:2375":   "the Engine's host nobody.invalid has no address",
		"vm-1":                        "read docker context vm-1: there is no such context",
		"ftp://vm-1":                  "addresses of the kind ftp are not known",
		"ssh://":                      "it names no host",
		"ssh://-oProxyCommand=x":      "it names no host",
		"ssh://a:b@vm-1":              "a password does not belong",
		"ssh://vm-1?x=1":              "it has more than",
		"context://other":             "read docker context other: there is no such context",
		"":                            "read docker context gone: there is no such context",
	} {
		_, err := Dial(t.Context(), host)
		if err == nil || !strings.Contains(err.Error(), want) || fault.Remedy(err) == "" {
			t.Errorf("%q: %s\nwant %q and a remedy", host, fault.Describe(err), want)
		}
		if strings.Contains(fault.Describe(err), "a:b@") {
			t.Errorf("%q: the password shows", host)
		}
	}
	if got := unreachable("x", os.ErrPermission); !strings.Contains(fault.Describe(got), "usermod -aG docker") {
		t.Errorf("no permission: %s", fault.Describe(got))
	}
}

// writeContext puts a context into the docker CLI's store.
func writeContext(t *testing.T, dir, name, meta string, tls ...string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	id := hex.EncodeToString(sum[:])
	at := filepath.Join(dir, "contexts", "meta", id)
	certs := filepath.Join(dir, "contexts", "tls", id, "docker")
	for _, d := range []string{at, certs} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(at, "meta.json"), []byte(meta), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, f := range tls {
		if err := os.WriteFile(filepath.Join(certs, f), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFind(t *testing.T) {
	dir := noEnv(t)
	writeContext(t, dir, "vm", `{"Name":"vm","Endpoints":{"docker":{"Host":"ssh://admin@vm-1"}}}`)
	writeContext(t, dir, "tls", `{"Name":"tls","Endpoints":{"docker":{"Host":"tcp://vm-2:2376","SkipTLSVerify":true}}}`, "ca.pem", "cert.pem", "key.pem")
	writeContext(t, dir, "empty", `{"Name":"empty","Endpoints":{}}`)
	writeContext(t, dir, "torn", `{"Name":`)
	config := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, host, want string, tls bool) {
		t.Helper()
		at, err := find(host)
		if err != nil || at.host != want || (at.tls != nil) != tls {
			t.Errorf("%s: %+v %v, want %s", what, at, err, want)
		}
	}
	check("nothing said", "", client.DefaultDockerHost, false)
	config(`{"currentContext":"vm"}`)
	check("current context", "", "ssh://admin@vm-1", false)
	check("a context by name", "context://tls", "tcp://vm-2:2376", true)
	check("its bare name", "tls", "tcp://vm-2:2376", true)
	check("certificates", WithCerts("tcp://vm-4:2376", dir), "tcp://vm-4:2376", true)
	check("the default context", "context://default", client.DefaultDockerHost, false)
	t.Setenv("DOCKER_CONTEXT", "tls")
	check("DOCKER_CONTEXT", "", "tcp://vm-2:2376", true)
	t.Setenv("DOCKER_HOST", "tcp://vm-3:2375")
	check("DOCKER_HOST", "", "tcp://vm-3:2375", false)
	check("an address", "unix:///x", "unix:///x", false)
	t.Setenv("DOCKER_TLS_VERIFY", "1")
	check("DOCKER_TLS_VERIFY", "", "tcp://vm-3:2375", true)
	for _, host := range []string{"context://empty", "context://torn"} {
		if _, err := find(host); err == nil {
			t.Errorf("%s: no error", host)
		}
	}
	t.Setenv("DOCKER_HOST", "")
	t.Setenv("DOCKER_CONTEXT", "")
	config(`{`)
	if _, err := find(""); err == nil || !strings.Contains(err.Error(), "config.json") {
		t.Errorf("a torn configuration: %v", err)
	}
}

// viaSSH puts the test binary in ssh's place.
func viaSSH(t *testing.T, socket string) {
	t.Helper()
	me, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(me, filepath.Join(bin, "ssh")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("HEPTA_TEST_SSH", socket)
}

func TestDialSSH(t *testing.T) {
	noEnv(t)
	viaSSH(t, testSocket(t, "1.45"))
	c, err := Dial(t.Context(), "ssh://admin@vm-1:2222")
	if err != nil {
		t.Fatal(fault.Describe(err))
	}
	defer c.Close()
	for range 3 {
		list, err := c.ContainerList(t.Context(), container.ListOptions{})
		if err != nil || len(list) != 1 {
			t.Fatalf("list: %v %v", list, err)
		}
	}
}

func TestDialSSHRefused(t *testing.T) {
	noEnv(t)
	viaSSH(t, "refuse")
	_, err := Dial(t.Context(), "ssh://admin@vm-1:2222")
	if got := fault.Describe(err); err == nil || !strings.Contains(got, "admin@vm-1: Permission denied (publickey).") || !strings.Contains(got, "-p 2222 -- vm-1 docker version") || strings.Contains(got, "start Docker") {
		t.Errorf("got %s", got)
	}
}

func TestPipeEnds(t *testing.T) {
	u, err := url.Parse("ssh://admin@vm-1:2222/run/docker.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sshDialer(u); err != nil {
		t.Fatal(err)
	}
	conn, err := startPipe("sleep", []string{"600"})
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_ = conn.Close()
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("closing took %s", took)
	}
	if _, err := startPipe("hepta-no-such-program", nil); fault.Remedy(err) == "" {
		t.Errorf("no ssh: %v", err)
	}

}
