package paas

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

var records = cmp.Options{
	cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() }),
	cmpopts.IgnoreUnexported(Record{}, Host{}),
}

// open opens a journal until the end of the test.
func open(t *testing.T, path string) *Journal {
	t.Helper()
	j, err := OpenJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return j
}

// copied puts a fixture where it can be written.
func copied(t *testing.T, name string) (string, []byte) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func TestStateOfTheOriginal(t *testing.T) {
	path, _ := copied(t, "state-newest.json")
	want := []Record{
		{Key: Key{"kvzWdEMo", 275830}, Token: secret.New("64_over"), Weight: 1, Phase: Deleting, Tenant: "tenant",
			Host: &Host{ID: "app_0", Name: "hpd-job-kvzWdEMo-275830", Tenant: "tenant", Weight: 1, Launched: true, DeployURL: "https://push.example.com/app_0.git"}},
		{Key: Key{"kvzWdEMo", 275833}, Token: secret.New("64_launched"), Weight: 13.454342644059432, Phase: Running,
			Host: &Host{ID: "app_1", Name: "hpd-job-kvzWdEMo-275833", Weight: 13.454342644059432, Launched: true, DeployURL: "https://push.example.com/app_1.git"}},
		{Key: Key{"kvzWdEMo", 275834}, Token: secret.New("64_waits"), Weight: 2.378414230005442, Phase: Acquired,
			Payload: secret.New(`{"id": 275834, "token": "64_waits", "big": 9007199254740993, "variables": []}`)},
		{Key: Key{"kvzWdEMo", 275835}, Token: secret.New("64_pushed"), Weight: 2.378414230005442, Phase: Pushed, Tenant: "tenant",
			Payload: secret.New(`{"id": 275835, "token": "64_pushed"}`),
			Host:    &Host{ID: "app_3", Name: "hpd-job-kvzWdEMo-275835", Tenant: "tenant", Weight: 2.378414230005442, Launched: true, DeployURL: "https://push.example.com/app_3.git"}},
		{Key: Key{"local123", 7}, Token: secret.New("64_local"), TraceOffset: 12, Weight: 1, Phase: Running,
			Host: &Host{ID: "hpd-job-local123-7", Name: "hpd-job-local123-7", Image: true}},
	}
	if d := cmp.Diff(want, open(t, path).Records(), records); d != "" {
		t.Error(d)
	}
}

func TestStateOfTheOldest(t *testing.T) {
	path, _ := copied(t, "state-oldest.json")
	want := []Record{{
		Key: Key{"kvzWdEMo", 1}, Token: secret.New("t1"), Weight: 32768, Phase: Running,
		Host: &Host{ID: "app_1", Name: "hpd-job-kvzWdEMo-1", Weight: 32768, Launched: true, DeployURL: "https://push.example.com/app_1.git"},
	}}
	if d := cmp.Diff(want, open(t, path).Records(), records); d != "" {
		t.Error(d)
	}
}

// The original finds everything again that it wrote, fields that are not known
// here and big integers included, and one key more.
func TestStateGoesBack(t *testing.T) {
	path, before := copied(t, "state-newest.json")
	j := open(t, path)
	if err := j.Introduce(t.Context(), Runner{URL: "https://f", Token: secret.New("kvzWdEMoXYZ")}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	want, got := exact(t, before), exact(t, after)
	delete(got, "hepta")
	bySameOrder := cmpopts.SortSlices(func(a, b any) bool { return fmt.Sprint(a) < fmt.Sprint(b) })
	if d := cmp.Diff(want, got, bySameOrder); d != "" {
		t.Error(d)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if got := j.Coordinator("kvzWdEMo"); got != "https://f" {
		t.Error(got)
	}
}

// exact keeps the digits of numbers.
func exact(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var out map[string]any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	if err := dec.Decode(&out); err != nil {
		t.Fatal(err)
	}
	var norm func(any) any
	norm = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for k := range v {
				v[k] = norm(v[k])
			}
		case []any:
			for i := range v {
				v[i] = norm(v[i])
			}
		case json.Number:
			return strings.TrimSuffix(v.String(), ".0") // 1.0 and 1 are one number
		}
		return v
	}
	return norm(out).(map[string]any)
}

// Every phase survives, with and without a host.
func TestStateRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	j := open(t, path)
	var want []Record
	for i, p := range []Phase{Acquired, Creating, Created, Pushing, Pushed, Running, Failing, Deleting} {
		for with := range 2 {
			r := Record{
				Key: Key{"abcdefgh", int64(2*i + with + 1)}, Token: secret.New("tok"), TraceOffset: 3, Weight: 1.5, Phase: p,
				Tenant: "group", Flavor: "S", Failure: "because",
			}
			if with == 1 {
				r.Host = &Host{ID: "app", Name: r.Name(), Tenant: "group", DeployURL: "u", Weight: 1.5}
			} else if p == Running {
				continue // runs nowhere
			}
			if r.place() == "pending" {
				r.Payload = secret.New(`{"id":1}`)
			}
			want = append(want, r)
			if err := j.Put(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	j = open(t, path)
	if d := cmp.Diff(want, j.Records(), records); d != "" {
		t.Error(d)
	}
	for _, r := range want {
		r.Phase = Gone
		if err := j.Put(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if left := j.Records(); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	// Its organisation may still hold hosts that nobody remembers.
	if got := j.Tenants("abcdefgh"); len(got) != 1 || got[0] != "group" {
		t.Errorf("tenants %v", got)
	}
}

// A list that was changed after the note about it wins.
func TestStateNoteOutdated(t *testing.T) {
	const h = `{"runner_name":"abcdefgh","job_id":1,"token":"t","trace_offset":0,"expected_weight":1,"paas_resource":{"id":"a","gitlab_namespace":null,"weight":1,"launched":true,"deploy_url":"u"}}`
	s, err := decodeState([]byte(`{"launched":[` + h + `],"hepta":{"version":1,"jobs":[{"runner":"abcdefgh","job":1,"phase":"pushing"}, {"runner":"abcdefgh","job":2,"phase":"running"}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if r := s.records[Key{"abcdefgh", 1}]; r.Phase != Running || len(s.records) != 1 {
		t.Errorf("%+v", s.records)
	}
}

// What cannot be understood is refused and left alone.
func TestStateCorrupt(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "cut": `{"launched": [`, "not an object": `[]`, "null": `null`, "more": `{} {}`,
		"list":     `{"launched": {}}`,
		"pair":     `{"pending": [[{"runner_name":"a","job_id":1}]]}`,
		"no id":    `{"launched": [{"runner_name":"a","token":"s3cr3t"}]}`,
		"type":     `{"launched": [{"runner_name":"a","job_id":"s3cr3t"}]}`,
		"resource": `{"launched": [{"runner_name":"a","job_id":1,"paas_resource":7}]}`,
		"newer":    `{"hepta": {"version": 2}}`,
		"phase":    `{"hepta": {"version": 1, "jobs": [{"runner":"a","job":1,"phase":"s3cr3t-not"}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := OpenJournal(path)
			if err == nil || fault.Remedy(err) == "" || name != "phase" && strings.Contains(err.Error(), "s3cr3t") {
				t.Errorf("error %v", err)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != text {
				t.Errorf("the file was changed: %q, %v", now, err)
			}
			// The lock does not stay behind.
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			open(t, path)
		})
	}
}

// Killed and started again, a manager is the same one to its coordinators.
func TestSystemID(t *testing.T) {
	path, _ := copied(t, "state-newest.json")
	var ids []string
	for range 2 {
		j := open(t, path)
		id, err := j.SystemID(t.Context())
		if err != nil || len(id) != 14 || !strings.HasPrefix(id, "s_") {
			t.Fatalf("%q, %v", id, err)
		}
		ids = append(ids, id)
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ids[0] != ids[1] {
		t.Errorf("%v", ids)
	}
}

func TestJournalIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	j := open(t, path)
	_, err := OpenJournal(path)
	if want := fmt.Sprint("it is in use by process ", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Fatalf("error %v", err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(t.Context(), Record{}); err == nil {
		t.Error("a closed journal took a record")
	}
	open(t, path)
}

// A disk that is full fails what would depend on the write, keeps the old file,
// and loses nothing once there is room.
func TestJournalDiskFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	j := open(t, path)
	put := func(job int64) error {
		return j.Put(t.Context(), Record{Key: Key{"abcdefgh", job}, Phase: Acquired, Payload: secret.New("{}")})
	}
	if err := put(1); err != nil {
		t.Fatal(err)
	}
	j.write = func([]byte) error { return syscall.ENOSPC }
	if err := put(2); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("error %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := decodeState(data); err != nil || len(s.records) != 1 {
		t.Errorf("%v, %v", s, err)
	}
	j.write = j.replace
	if err := put(3); err != nil {
		t.Fatal(err)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if got := open(t, path).Records(); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestJournalDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	j := open(t, filepath.Join(dir, "state.json"))
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := j.Put(t.Context(), Record{Key: Key{"abcdefgh", 1}, Phase: Acquired}); err == nil {
		t.Error("a write into nowhere succeeded")
	}
}

// Many writers share few writes, and each finds its record on disk.
func TestJournalGroupsCommits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	j := open(t, path)
	var writes atomic.Int64
	var disk atomic.Pointer[state]
	gate := make(chan struct{})
	j.write = func(data []byte) error {
		if writes.Add(1) == 1 {
			<-gate
		}
		s, err := decodeState(data)
		disk.Store(s)
		return err
	}
	const n = 200
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := Record{Key: Key{"abcdefgh", int64(i + 1)}, Phase: Acquired}
			if err := j.Put(t.Context(), r); err != nil {
				t.Error(err)
			}
			if _, there := disk.Load().records[r.Key]; !there {
				t.Errorf("%s is not on disk", r.Key)
			}
		})
	}
	// The first write is held back until everybody has asked.
	for len(j.Records()) < n {
		runtime.Gosched()
	}
	close(gate)
	all.Wait()
	if w := writes.Load(); w > 3 {
		t.Errorf("%d writes for %d records at once", w, n)
	}
}

const childPath = "PAAS_TEST_JOURNAL"

// TestMain also is the process that TestJournalKilled kills.
func TestMain(m *testing.M) {
	if path := os.Getenv(childPath); path != "" {
		os.Exit(scribble(path))
	}
	os.Exit(m.Run())
}

func scribble(path string) int {
	j, err := OpenJournal(path)
	if err != nil {
		fmt.Println(err)
		return 1
	}
	ctx, at := context.Background(), int64(len(j.Records()))
	for {
		at++
		if err := j.Put(ctx, Record{Key: Key{"abcdefgh", at}, Phase: Acquired, Payload: secret.New("{}")}); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println(at)
	}
}

// Killed while it writes, it has what it said that it has.
func TestJournalKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childPath+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said, lines := 0, bufio.NewScanner(out)
		for count := 0; lines.Scan(); count++ {
			if said, err = strconv.Atoi(lines.Text()); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
			if count == 3+round {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
		j, err := OpenJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(j.Records()); got < said {
			t.Fatalf("%d records, %d were acknowledged", got, said)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRecordsDoNotPrintSecrets(t *testing.T) {
	r := Record{Key: Key{"abcdefgh", 1}, Token: secret.New("s3cr3t"), Payload: secret.New("s3cr3t")}
	if text := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(text, "s3cr3t") {
		t.Error(text)
	}
}

func FuzzDecodeState(f *testing.F) {
	for _, name := range []string{"state-newest.json", "state-oldest.json"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"hepta":{"version":1,"jobs":[{"runner":"a","job":1,"phase":"failing","handle":{"runner_name":"a","job_id":1}}]}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decodeState(data)
		if err != nil {
			return
		}
		again, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		back, err := decodeState(again)
		if err != nil {
			t.Fatalf("%v\n%s", err, again)
		}
		if len(back.records) != len(s.records) {
			t.Fatalf("%d records became %d\n%s", len(s.records), len(back.records), again)
		}
	})
}
