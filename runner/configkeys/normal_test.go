package configkeys

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// written is what a file had.
type written struct {
	text  string
	value any
}

func (w written) Written() (string, any) { return w.text, w.value }

func TestValuesGetTheTypeThatTheRunnerReads(t *testing.T) {
	for name, tt := range map[string]struct {
		section  string
		in, want map[string]any
	}{
		"services as texts": {Docker,
			map[string]any{"services": []any{"postgres:16", map[string]any{"name": "redis:7", "entrypoint": "sh", "alias": "r"}}},
			map[string]any{"services": []any{map[string]any{"name": "postgres:16"}, map[string]any{"name": "redis:7", "entrypoint": []any{"sh"}, "alias": "r"}}}},
		"one service alone": {Docker,
			map[string]any{"services": "postgres:16"},
			map[string]any{"services": []any{map[string]any{"name": "postgres:16"}}}},
		"truth one level down": {Runner,
			map[string]any{"feature_flags": map[string]any{"FF_A": "true", "FF_B": 1, "FF_C": "off"}, "cache": map[string]any{"Shared": "yes"}},
			map[string]any{"feature_flags": map[string]any{"FF_A": true, "FF_B": true, "FF_C": false}, "cache": map[string]any{"Shared": true}}},
		"other case": {Runner,
			map[string]any{"Cache": map[string]any{"S3": map[string]any{"accesskey": "k"}}},
			map[string]any{"cache": map[string]any{"s3": map[string]any{"AccessKey": "k"}}}},
		"text that looks like a number": {Docker,
			map[string]any{"user": written{"0100", 64}, "hostname": written{"1.10", 1.1}, "group_add": []any{written{"0100", 64}}, "container_labels": map[string]any{"yes": written{"no", false}}},
			map[string]any{"user": "0100", "hostname": "1.10", "group_add": []any{"0100"}, "container_labels": map[string]any{"yes": "no"}}},
		"numbers as texts": {Docker,
			map[string]any{"oom_score_adjust": "5", "wait_for_services_timeout": -1, "shm_size": "256m", "cpu_shares": 2.0},
			map[string]any{"oom_score_adjust": int64(5), "wait_for_services_timeout": int64(-1), "shm_size": int64(256 << 20), "cpu_shares": int64(2)}},
		"one policy is the same for every version": {Docker,
			map[string]any{"pull_policy": []any{"always"}},
			map[string]any{"pull_policy": "always"}},
		"several policies": {Docker,
			map[string]any{"pull_policy": []string{"always", "if-not-present"}},
			map[string]any{"pull_policy": []any{"always", "if-not-present"}}},
		"environment as a mapping": {Runner,
			map[string]any{"environment": map[string]any{"B": written{"010", 8}, "A": "x"}},
			map[string]any{"environment": []any{"A=x", "B=010"}}},
		"hosts as a mapping": {Docker,
			map[string]any{"extra_hosts": map[string]any{"hg.example.org": "192.0.2.1"}},
			map[string]any{"extra_hosts": []any{"hg.example.org:192.0.2.1"}}},
		"labels as a list": {Docker,
			map[string]any{"container_labels": []any{"a=b=c"}},
			map[string]any{"container_labels": map[string]any{"a": "b=c"}}},
		"durations": {Runner,
			map[string]any{"unhealthy_interval": "120s", "prepare_timeout": 0},
			map[string]any{"unhealthy_interval": "120s", "prepare_timeout": "0s"}},
		"devices of services": {Docker,
			map[string]any{"services_devices": map[string]any{"postgres": "/dev/kvm"}},
			map[string]any{"services_devices": map[string]any{"postgres": []any{"/dev/kvm"}}}},
		"queues": {Runner,
			map[string]any{"monitoring": map[string]any{"job_queuing_durations": map[string]any{"threshold": "1m", "periods": "* * * * *"}}},
			map[string]any{"monitoring": map[string]any{"job_queuing_durations": []any{map[string]any{"threshold": "1m", "periods": []any{"* * * * *"}}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, problems := Normal(tt.section, tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" || len(problems) > 0 {
				t.Errorf("problems %v, diff (-want +got):\n%s", problems, diff)
			}
		})
	}
}

func TestWhatHasNoPlainMeaningIsRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		section string
		in      map[string]any
		want    []Problem
	}{
		"a list for a text":      {Docker, map[string]any{"pid_mode": []any{"host"}}, []Problem{{"pid_mode", "is not text", false}}},
		"a number for a truth":   {Docker, map[string]any{"privileged": 2}, []Problem{{"privileged", "is not true or false", false}}},
		"a text for a truth":     {Runner, map[string]any{"feature_flags": map[string]any{"FF_A": "maybe"}}, []Problem{{"feature_flags.FF_A", "is not true or false", false}}},
		"a service of two":       {Docker, map[string]any{"services": []any{"a", []any{"b"}}}, []Problem{{"services[1]", "is not a mapping", false}}},
		"a duration of no unit":  {Runner, map[string]any{"unhealthy_interval": 120}, []Problem{{"unhealthy_interval", "is not a duration with its unit, such as 90s or 1h", false}}},
		"a size of no whole":     {Docker, map[string]any{"shm_size": "big"}, []Problem{{"shm_size", "is not a whole number", false}}},
		"a text for a mapping":   {Runner, map[string]any{"cache": "s3"}, []Problem{{"cache", "is not a mapping", false}}},
		"two cases of one key":   {Docker, map[string]any{"Privileged": true, "privileged": false}, []Problem{{"privileged", "is the same key as Privileged: the runner does not look at case", false}}},
		"nothing":                {Docker, map[string]any{"x": nil}, []Problem{{"x", "is no key that GitLab Runner has here", true}, {"x", "is empty: leave the key out, or give it a value", false}}},
		"an unknown key":         {Docker, map[string]any{"privilegd": true}, []Problem{{"privilegd", `is no key that GitLab Runner has here; did you mean "privileged"?`, true}}},
		"an unknown key, deeper": {Runner, map[string]any{"cache": map[string]any{"s3": map[string]any{"Bucket_Name": "b"}}}, []Problem{{"cache.s3.Bucket_Name", `is no key that GitLab Runner has here; did you mean "BucketName"?`, true}}},
		"a key of old runners":   {Runner, map[string]any{"pre_clone_script": "true"}, []Problem{{"pre_clone_script", "is a key of old GitLab Runners alone (12.8); newer ones ignore it", true}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, got := Normal(tt.section, tt.in)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestNames(t *testing.T) {
	if name, ok := Name(Docker, "PRIVILEGED"); name != "privileged" || !ok {
		t.Errorf("PRIVILEGED is %q, %t", name, ok)
	}
	if name, ok := Name(Docker, "nothing"); name != "nothing" || ok {
		t.Errorf("nothing is %q, %t", name, ok)
	}
}
