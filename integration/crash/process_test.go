package crash

import (
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// A second manager on the same state file is refused and names the first; a
// wrong configuration is told on SIGHUP and changes nothing; a good one is used.
func TestTwoManagersAndReload(t *testing.T) {
	s := newStage(t)
	s.arm("", false)
	s.seen = make(chan struct{})
	close(s.seen)
	file, _ := s.config()
	r := s.start(file)
	s.eventually("the first request for a job", r, func() bool { return len(s.met()) > 2 })

	out, err := exec.Command(program, "paas", "run", file).CombinedOutput()
	if text := string(out); err == nil || !strings.Contains(text, "in use by process") || !strings.Contains(text, "a state_file of its own") {
		t.Errorf("a second one: %v, %s", err, out)
	}

	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	reload := func(text, word string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.eventually(word, r, func() bool { return strings.Contains(r.said.String(), word) })
	}
	reload("concurrent = 0\n"+string(good), "the configuration stays as it was")
	reload(strings.Replace(string(good), s.token, "glrt-another-token", 1), "or has paused it")
	// What was good before is good again: it takes a job.
	reload(string(good)+"# again\n", "")
	s.push()
	s.eventually("the job", r, func() bool { return strings.Contains(r.said.String(), "job is taken") })
	if !strings.Contains(r.said.String(), "line 1: concurrent") {
		t.Errorf("said %s", r.said)
	}
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Errorf("stopped: %v\n%s", err, r.said)
	}
}

// Metrics are served while it runs.
func TestMetrics(t *testing.T) {
	s := newStage(t)
	s.arm("", false)
	file, _ := s.config()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	r := s.start("--metrics", address, file)
	text := ""
	s.eventually("the metrics", r, func() bool {
		resp, err := http.Get("http://" + address + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		data, err := io.ReadAll(resp.Body)
		text = string(data)
		return err == nil && strings.Contains(text, "hepta_paas_concurrent 50\n")
	})
	// Each number is explained and has its type.
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		name, _, _ = strings.Cut(name, "{")
		if !strings.HasPrefix(line, "#") && (!strings.Contains(text, "# HELP "+name+" ") || !strings.Contains(text, "# TYPE "+name+" ")) {
			t.Errorf("%s is not explained:\n%s", name, text)
		}
	}
	if err := r.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := r.Wait(); err != nil {
		t.Errorf("stopped: %v\n%s", err, r.said)
	}
}
