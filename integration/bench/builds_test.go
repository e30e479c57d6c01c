package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// The ratios have the direction that their names say, of builds and of jobs,
// and an aim that is to be exceeded counts so.
func TestBuildResults(t *testing.T) {
	all := func(build, job int) []built {
		return []built{{time.Duration(build) * time.Second, time.Duration(job) * time.Second, 5e6}}
	}
	cold := map[string][]built{}
	for _, w := range ways {
		cold[w.name] = all(60, 90)
	}
	warm := map[string][]built{"socket": all(2, 20), "seed_dind": all(40, 66), "dind": all(4, 22), "rootless": all(3, 25), "buildah": all(5, 27)}
	r := report{Results: buildResults(cold, warm)}
	var out bytes.Buffer
	if err := r.json(&out); err != nil {
		t.Fatal(err)
	}
	var got struct{ Ratios, Values map[string]float64 }
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		"dind_warm_vs_socket_warm": 2, "dind_warm_vs_socket_warm_job": 1.1, "seed_dind_vs_dind_warm": 10, "seed_dind_vs_dind_warm_job": 3,
		"rootless_warm_vs_socket_warm": 1.5, "rootless_warm_vs_socket_warm_job": 1.25,
	} {
		if got.Ratios[name] != want {
			t.Errorf("%s is %v, want %v", name, got.Ratios[name], want)
		}
	}
	for name, want := range map[string]float64{"rootless_cold_build_s": 60, "dind_warm_job_s": 22, "socket_warm_pulled_mb": 5} {
		if got.Values[name] != want {
			t.Errorf("%s is %v, want %v", name, got.Values[name], want)
		}
	}
	out.Reset()
	if err := r.table(&out); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{"dind_warm_vs_socket_warm 2.00 ≤ 1.20 missed dind 4000 ms", "seed_dind_vs_dind_warm_job 3.00 ≥ 3.00 ok seed_dind 66000 ms"} {
		if !strings.Contains(text, want) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

// Each way runs what it is timed for, with a file that changes before.
func TestBuildPipelines(t *testing.T) {
	for _, w := range ways {
		text := w.pipeline()
		began, built, told := strings.Index(text, "began="), strings.Index(text, w.script[1][:12]), strings.Index(text, "build_ms")
		if began < strings.Index(text, "round.py") || built < began || told < built || strings.LastIndex(text, "push") < told {
			t.Errorf("%s:\n%s", w.name, text)
		}
		if strings.Contains(text, "services") != (w.service != "") {
			t.Errorf("%s has other services:\n%s", w.name, text)
		}
	}
}
