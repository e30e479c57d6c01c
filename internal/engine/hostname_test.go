package engine

import "testing"

func TestHostname(t *testing.T) {
	for host, want := range map[string]string{
		"unix:///var/run/docker.sock": "127.0.0.1",
		"npipe:////./pipe/docker":     "127.0.0.1",
		"tcp://10.1.2.3:2376":         "10.1.2.3",
		"tcp://[fd00::1]:2376":        "fd00::1",
		"ssh://admin@vm-1:2222":       "vm-1",
	} {
		if got, err := Hostname(host); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", host, got, err, want)
		}
	}
	t.Setenv("DOCKER_HOST", "tcp://vm-2:2375")
	if got, err := Hostname(""); err != nil || got != "vm-2" {
		t.Errorf("DOCKER_HOST: %q, %v", got, err)
	}
	if got, err := Hostname("tcp://%"); err == nil {
		t.Errorf("no address: %q", got)
	}
}
