package main

import (
	"net"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hepta": main})
}

// silent is an Engine that takes connections and never answers.
type silent struct {
	net.Listener
	asked chan struct{}
}

func listen(t *testing.T) *silent {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silent{l, make(chan struct{}, 16)}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			s.asked <- struct{}{}
		}
	}()
	return s
}

// The scripts run the program without any Docker Engine. The command asked
// waits until somebody has connected to $SILENT.
func TestScripts(t *testing.T) {
	engine := listen(t)
	testscript.Run(t, testscript.Params{
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"asked": func(ts *testscript.TestScript, _ bool, _ []string) {
				select {
				case <-engine.asked:
				case <-time.After(30 * time.Second):
					ts.Fatalf("nobody asked the Engine")
				}
			},
		},
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("HEPTA_FILE", "")
			e.Setenv("SILENT", "tcp://"+engine.Addr().String())
			return nil
		},
	})
}
