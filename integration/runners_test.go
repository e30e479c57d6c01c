package integration

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/google/go-cmp/cmp"
	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta"
	"github.com/heptaup/hepta/runner"
)

// desk is where somebody works with the program: a directory with a hepta.yaml.
type desk struct {
	*site
	dir string
}

func (s *site) desk(t *testing.T, yaml string) *desk {
	t.Helper()
	d := &desk{s, t.TempDir()}
	d.write(t, hepta.DefaultFile, yaml)
	return d
}

func (d *desk) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs the program on the site.
func (d *desk) run(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return d.heptaIn(t, d.dir, d.socket, args...)
}

// do is run of what has to succeed.
func (d *desk) do(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := d.run(t, args...)
	if code != 0 {
		t.Fatalf("hepta %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	return out
}

// fails is run of what has to be refused, saying these words and no token.
func (d *desk) fails(t *testing.T, args []string, words ...string) {
	t.Helper()
	out, errs, code := d.run(t, args...)
	if code != 1 {
		t.Errorf("hepta %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
	for _, w := range words {
		if !strings.Contains(out+errs, w) {
			t.Errorf("hepta %s does not say %q:\n%s%s", strings.Join(args, " "), w, out, errs)
		}
	}
	if strings.Contains(out+errs, "glrt-") {
		t.Errorf("hepta %s shows a token", strings.Join(args, " "))
	}
}

// standings are the runners of `runner list`, by name.
func (d *desk) standings(t *testing.T) map[string]runner.State {
	t.Helper()
	out, errs, _ := d.run(t, "runner", "list", "--json")
	var list []runner.State
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	found := map[string]runner.State{}
	for _, s := range list {
		if _, twice := found[s.Name]; twice {
			t.Errorf("%s is listed twice", s.Name)
		}
		found[s.Name] = s
	}
	return found
}

func (d *desk) stands(t *testing.T, name string, want runner.Standing) {
	t.Helper()
	eventually(t, time.Minute, fmt.Sprintf("runner %s is %s", name, want), func() bool { return d.standings(t)[name].State == want })
}

// verdicts are those of `runner verify`, as "name token done".
func (d *desk) verdicts(t *testing.T, args ...string) []string {
	t.Helper()
	out, errs, _ := d.run(t, append([]string{"runner", "verify", "--json"}, args...)...)
	var list []runner.Verdict
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	var got []string
	for _, v := range list {
		got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", v.Name, map[bool]string{true: "good", false: "bad"}[v.Alive], v.Done)))
	}
	return got
}

func (d *desk) config(t *testing.T) string {
	t.Helper()
	return d.file(t, "/srv/lab/runner", "config.toml")
}

// edit changes config.toml as somebody does by hand.
func (d *desk) edit(t *testing.T, old, new string) {
	t.Helper()
	text := d.config(t)
	if strings.Count(text, old) != 1 {
		t.Fatalf("config.toml has %q %d times", old, strings.Count(text, old))
	}
	d.put(t, "/srv/lab/runner", "config.toml", strings.Replace(text, old, new, 1))
}

// token is that of a section of config.toml.
func (d *desk) token(t *testing.T, name string) string {
	t.Helper()
	return sectionToken(t, d.config(t), name)
}

// job is a job of a project as it stands.
func (p *project) job(t *testing.T, name string) *gitlab.Job {
	t.Helper()
	list, _, err := p.api.Jobs.ListProjectJobs(p.Path, nil, gitlab.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(list, func(j *gitlab.Job) bool { return j.Name == name }); i >= 0 {
		return list[i]
	}
	return &gitlab.Job{}
}

// works checks that a runner takes a job by its tag and that the job says
// these words.
func (d *desk) works(t *testing.T, stack *hepta.Stack, tag, script string, words ...string) {
	t.Helper()
	p := d.project(t, stack, strings.ToLower(strings.Map(projectRune, t.Name()+"-"+tag)), git)
	p.push(t, https, map[string]string{".gitlab-ci.yml": fmt.Sprintf("work: {image: \"docker:26\", tags: [%s], script: ['%s']}\n", tag, script)})
	jobs := p.succeed(t, "work")
	p.says(t, jobs["work"], words...)
}

func projectRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
		return r
	}
	return '-'
}

// The commands of runners, with the program, against the forge and the runner
// of the lab. None of it may restart the runner's container.
func TestRunnerCommands(t *testing.T) {
	ctx := t.Context()
	s := onSite(t)
	stack := s.lab(t)
	d := s.desk(t, labYAML)
	api, err := stack.Forge().Client(ctx)
	if err != nil {
		t.Fatal(err)
	}
	count := func() int {
		list, _, err := api.Runners.ListAllRunners(nil, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	seen := func(name string) *gitlab.RunnerDetails {
		r, _, err := api.Runners.GetRunnerDetails(d.standings(t)[name].ID, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	before := s.lives(t, stack)
	unhurt := func(t *testing.T) {
		t.Helper()
		if diff := cmp.Diff(before, s.lives(t, stack)); diff != "" {
			t.Errorf("containers were touched:\n%s", diff)
		}
	}

	t.Run("list", func(t *testing.T) {
		d.stands(t, "dind", runner.Online)
		d.stands(t, "socket", runner.Online)
		if out := d.do(t, "runner", "list"); !strings.Contains(out, "dind") || !strings.Contains(out, "online") {
			t.Errorf("got\n%s", out)
		}
		if diff := cmp.Diff([]string{"dind good", "socket good"}, d.verdicts(t)); diff != "" {
			t.Error(diff)
		}
		if out := d.do(t, "runner", "verify"); strings.Count(out, " good   yes ") != 2 {
			t.Errorf("of what jobs reach it says\n%s", out)
		}
	})

	t.Run("add", func(t *testing.T) {
		d.do(t, "runner", "add", "--mode", "plain", "--tag", "third", "--image", "docker:26", "third")
		if s := d.standings(t)["third"].State; s != runner.NotMade {
			t.Errorf("before up it is %s", s)
		}
		d.do(t, "up")
		d.stands(t, "third", runner.Online)
		if n := count(); n != 3 {
			t.Errorf("the forge has %d runners", n)
		}
		d.edit(t, "  name = \"third\"\n", "  # the quiet one\n  name = \"third\"\n  output_limit = 777 # kilobytes\n")
		unhurt(t)
	})

	t.Run("change", func(t *testing.T) {
		was, token := seen("third"), d.token(t, "third")
		d.write(t, hepta.DefaultFile, labYAML+`  - name: third
    mode: plain
    image: docker:26
    tags: [third, more]
    run_untagged: true
    locked: true
    access_level: ref_protected
    maximum_timeout: 1200
    environment: [WORD=changed]
    docker: {pull_policy: if-not-present}
`)
		d.do(t, "up")
		r := seen("third")
		slices.Sort(r.TagList)
		got := fmt.Sprintln(r.ID == was.ID, r.TagList, r.RunUntagged, r.Locked, r.AccessLevel, r.MaximumTimeout, r.Description)
		if want := fmt.Sprintln(true, []string{"more", "third"}, true, true, "ref_protected", 1200, "third"); got != want {
			t.Errorf("the forge has %s, want %s", got, want)
		}
		text := d.config(t)
		if !strings.Contains(text, "  # the quiet one\n") || !strings.Contains(text, "  output_limit = 777 # kilobytes\n") {
			t.Errorf("what was written by hand is gone from\n%s", text)
		}
		if d.token(t, "third") != token || count() != 3 {
			t.Error("it was created again")
		}
		if !strings.Contains(d.config(t), "WORD=changed") { // the jobs of later steps run with it
			t.Error("the file has the old environment")
		}
		unhurt(t)
	})

	t.Run("doubles", func(t *testing.T) {
		token, _, err := api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{RunnerType: gitlab.Ptr("instance_type"), Description: gitlab.Ptr("third")}, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		kept := d.token(t, "third")
		d.put(t, "/srv/lab/runner", "config.toml", d.config(t)+fmt.Sprintf(
			"\n[[runners]]\n  name = \"third\"\n  url = \"https://%s\"\n  token = %q\n  executor = \"docker\"\n", labForge, token.Token))
		d.do(t, "up")
		if text := d.config(t); strings.Contains(text, token.Token) || d.token(t, "third") != kept || count() != 3 {
			t.Errorf("%d runners in the forge, and\n%s", count(), strings.ReplaceAll(text, token.Token, "DOUBLE"))
		}
		unhurt(t)
	})

	t.Run("dead", func(t *testing.T) {
		if _, err := api.Runners.RemoveRunner(d.standings(t)["third"].ID, gitlab.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		d.fails(t, []string{"runner", "list"}, "gone in forge", "hepta runner verify --fix")
		d.fails(t, []string{"runner", "verify"}, "refused", "hepta runner verify --fix")
		if diff := cmp.Diff([]string{"dind good", "socket good", "third bad created again"}, d.verdicts(t, "--fix")); diff != "" {
			t.Error(diff)
		}
		d.stands(t, "third", runner.Online)
		if r := seen("third"); r.MaximumTimeout != 1200 || count() != 3 {
			t.Errorf("%+v", r)
		}
		d.works(t, stack, "third", "echo it is $WORD", "it is changed")
		unhurt(t)
	})

	t.Run("revoked", func(t *testing.T) {
		id := d.standings(t)["third"].ID
		if _, _, err := api.Runners.ResetRunnerAuthenticationToken(id, gitlab.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		d.fails(t, []string{"runner", "verify"}, "third", "refused", "hepta runner verify --fix")
		if diff := cmp.Diff([]string{"dind good", "socket good", "third bad given a new token"}, d.verdicts(t, "--fix")); diff != "" {
			t.Error(diff)
		}
		if now := d.standings(t)["third"].ID; now != id || count() != 3 {
			t.Errorf("it is %d, was %d", now, id)
		}
		d.works(t, stack, "third", "echo repaired", "repaired")
		unhurt(t)
	})

	// What the forge does to a runner behind everybody's back is heard from the
	// runner itself, and a plain up repairs it.
	refused := func(t *testing.T) {
		t.Helper()
		eventually(t, time.Minute, "the runner says that it is refused", func() bool {
			return strings.Contains(d.do(t, "runner", "logs", "third"), "forbidden")
		})
		out, errs, code := d.run(t, "plan")
		if code != 2 || !strings.Contains(out, "repair runner third") || !strings.Contains(out, "the forge refuses its token, says the runner's log") {
			t.Errorf("plan: exit code %d\n%s%s", code, out, errs)
		}
	}
	repaired := func(t *testing.T) {
		t.Helper()
		d.do(t, "up")
		if out := d.do(t, "up"); !strings.Contains(out, "Nothing to do") {
			t.Errorf("the next up says\n%s", out)
		}
		if diff := cmp.Diff([]string{"dind good", "socket good", "third good"}, d.verdicts(t)); diff != "" {
			t.Error(diff)
		}
		if r := seen("third"); r.MaximumTimeout != 1200 || count() != 3 {
			t.Errorf("%+v", r)
		}
		unhurt(t)
	}

	t.Run("deleted, then up", func(t *testing.T) {
		id := d.standings(t)["third"].ID
		if _, err := api.Runners.RemoveRunner(id, gitlab.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		refused(t)
		repaired(t)
		if d.standings(t)["third"].ID == id {
			t.Error("it is the one that was deleted")
		}
		d.works(t, stack, "third", "echo back again", "back again")
	})

	t.Run("revoked, then up", func(t *testing.T) {
		id, token := d.standings(t)["third"].ID, d.token(t, "third")
		if _, _, err := api.Runners.ResetRunnerAuthenticationToken(id, gitlab.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		refused(t)
		repaired(t)
		if d.standings(t)["third"].ID != id || d.token(t, "third") == token {
			t.Error("it is another one, or has the old token")
		}
	})

	t.Run("pause", func(t *testing.T) {
		d.do(t, "runner", "pause", "third")
		d.stands(t, "third", runner.Paused)
		d.do(t, "up") // does not undo it
		p := s.project(t, stack, "paused", git)
		p.push(t, https, map[string]string{".gitlab-ci.yml": `waits: {image: "docker:26", tags: [third], script: [echo it goes on]}
other: {image: "docker:26", tags: [socket], script: [echo other]}
`})
		eventually(t, 10*time.Minute, "the other job ends", func() bool { return p.job(t, "other").Status == "success" })
		// By now the runner has asked for jobs again and again.
		if got := p.job(t, "waits").Status; got != "pending" {
			t.Errorf("the job of the paused runner is %s", got)
		}
		d.do(t, "runner", "resume", "third")
		jobs := p.succeed(t, "waits", "other")
		p.says(t, jobs["waits"], "it goes on")
		unhurt(t)
	})

	t.Run("rotate", func(t *testing.T) {
		p := s.project(t, stack, "rotated", git)
		p.push(t, https, map[string]string{".gitlab-ci.yml": `long:
  image: docker:26
  tags: [socket]
  script:
    - echo "it has begun"
    - until docker container inspect go-on >/dev/null 2>&1; do sleep 1; done
    - echo "it has ended"
`})
		eventually(t, 10*time.Minute, "the job runs", func() bool {
			j := p.job(t, "long")
			return j.ID != 0 && strings.Contains(p.trace(ctx, j), "it has begun")
		})
		old := d.token(t, "socket")
		d.do(t, "runner", "rotate", "socket")
		if d.token(t, "socket") == old {
			t.Error("the token is the same")
		}
		if _, err := api.Runners.VerifyRegisteredRunner(&gitlab.VerifyRegisteredRunnerOptions{Token: gitlab.Ptr(old)}, gitlab.WithContext(ctx)); err == nil {
			t.Error("the forge still takes the old token")
		}
		d.works(t, stack, "socket", "echo new", "new") // while the job runs
		s.foreign(t, "go-on", container.HostConfig{})
		jobs := p.succeed(t, "long")
		p.says(t, jobs["long"], "it has ended")
		unhurt(t)
	})

	t.Run("logs", func(t *testing.T) {
		all, one := d.do(t, "runner", "logs"), d.do(t, "runner", "logs", "socket")
		if strings.Count(all, "\n") <= strings.Count(one, "\n") || !strings.Contains(one, "Checking for jobs") {
			t.Errorf("of one runner there are\n%s", one)
		}
		begin := strings.TrimPrefix(d.token(t, "third"), "glrt-")[:6]
		if strings.Contains(one, begin) {
			t.Errorf("among the lines of socket are some of third:\n%s", one)
		}
		if out := d.do(t, "runner", "logs", "--tail", "3"); strings.Count(out, "\n") != 3 {
			t.Errorf("three lines are\n%s", out)
		}
		d.fails(t, []string{"runner", "logs", "nobody"}, "nobody", "there is no runner of that name")
	})

	t.Run("prune", func(t *testing.T) {
		leftovers := func(args ...string) (p runner.Pruned) {
			out := d.do(t, append([]string{"runner", "prune", "--older-than", "1ns", "--json"}, args...)...)
			if err := json.Unmarshal([]byte(out), &p); err != nil {
				t.Fatal(err)
			}
			return p
		}
		if found := leftovers(); len(found.Leftovers) == 0 {
			t.Fatal("jobs have left nothing, not even caches")
		}
		if again := leftovers(); len(again.Leftovers) == 0 {
			t.Error("what was to be listed only is gone")
		}
		leftovers("--force")
		if left := leftovers(); slices.ContainsFunc(left.Leftovers, func(l runner.Leftover) bool { return l.Kept == "" }) {
			t.Errorf("left %+v", left.Leftovers)
		}
		d.works(t, stack, "third", "echo after", "after")
		unhurt(t)
	})

	t.Run("remove", func(t *testing.T) {
		d.fails(t, []string{"runner", "remove", "third"}, "the configuration describes it", "hepta up")
		made, _, err := api.Users.CreateUserRunner(&gitlab.CreateUserRunnerOptions{RunnerType: gitlab.Ptr("instance_type"), Description: gitlab.Ptr("by-hand")}, gitlab.WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		section := fmt.Sprintf("\n[[runners]]\n  name = \"by-hand\"\n  url = \"https://%s\"\n  token = %q\n  executor = \"docker\"\n  [runners.docker]\n    image = \"docker:26\"\n", labForge, made.Token)
		d.put(t, "/srv/lab/runner", "config.toml", d.config(t)+section)
		d.do(t, "runner", "remove", "by-hand")
		if strings.Contains(d.config(t), "by-hand") || count() != 3 {
			t.Errorf("%d runners in the forge", count())
		}
		d.write(t, hepta.DefaultFile, labYAML)
		d.do(t, "up")
		if strings.Contains(d.config(t), "third") || count() != 2 {
			t.Errorf("%d runners in the forge", count())
		}
		unhurt(t)
	})

	t.Run("API token", func(t *testing.T) {
		rails := func(code string) string {
			return strings.TrimSpace(d.do(t, "exec", "heptapod", "gitlab-rails", "runner", code))
		}
		says := func(what string, yes bool) {
			t.Helper()
			for _, command := range []string{"status", "plan"} {
				if out := d.do(t, command); strings.Contains(out, what) != yes {
					t.Errorf("hepta %s says %q is not %v:\n%s", command, what, yes, out)
				}
			}
		}
		revoke := func() {
			t.Helper()
			kept, err := stack.Forge().Token(ctx)
			if err != nil {
				t.Fatal(err)
			}
			rails(fmt.Sprintf("PersonalAccessToken.find_by_token(%q).revoke!", kept.Value.Reveal()))
		}
		const refused = "the forge refuses the API token"
		says(refused, false)
		revoke()
		says(refused, true)
		if _, errs, _ := d.run(t, "runner", "verify"); !strings.Contains(errs, refused) {
			t.Errorf("runner verify says\n%s", errs)
		}
		d.do(t, "runner", "list")
		says(refused, false)

		// Whatever becomes of root, the token is that of an administrator.
		if _, _, err := api.Users.CreateUser(&gitlab.CreateUserOptions{Username: gitlab.Ptr("second"), Name: gitlab.Ptr("second"), Email: gitlab.Ptr("second@example.org"),
			Password: gitlab.Ptr(rand.Text()), Admin: gitlab.Ptr(true)}, gitlab.WithContext(ctx)); err != nil {
			t.Fatal(err)
		}
		rails("User.find_by_username('root').block!")
		d.do(t, "runner", "list")
		rails("User.find_by_username('second').block!")
		d.fails(t, []string{"runner", "list"}, "no administrator of the forge is active", "activate!")
		rails("User.find_by_username('root').activate!")
		d.do(t, "runner", "list")
		revoke()
		d.do(t, "runner", "pause", "socket")
		d.do(t, "runner", "resume", "socket")
		revoke()
		d.do(t, "runner", "rotate", "socket")
		revoke()
		d.do(t, "registry", "list")
		if out := d.do(t, "token", "renew"); !strings.Contains(out, "it ends on") {
			t.Errorf("token renew says\n%s", out)
		}
		d.put(t, "/srv/lab/heptapod/config/hepta", "api_token", "")
		d.do(t, "runner", "list")
		if out := d.do(t, "up"); !strings.Contains(out, "Nothing to do") {
			t.Errorf("up says\n%s", out)
		}
		unhurt(t)
	})

	t.Run("config.toml broken by hand", func(t *testing.T) {
		good := d.config(t)
		broken := "# mine\n" + strings.Replace(good, "check_interval = 1\n", "check_interval = one\n", 1)
		line := 1 + strings.Count(broken[:strings.Index(broken, "check_interval = one")], "\n")
		d.put(t, "/srv/lab/runner", "config.toml", broken)
		for _, args := range [][]string{{"plan"}, {"up"}, {"runner", "list"}, {"runner", "verify", "--fix"}, {"runner", "rotate", "socket"}} {
			d.fails(t, args, "runner/config.toml", fmt.Sprintf("line %d", line), "left as it is", "Repair that line")
		}
		if d.config(t) != broken {
			t.Error("the file was changed")
		}
		d.put(t, "/srv/lab/runner", "config.toml", good)
		if out := d.do(t, "up"); !strings.Contains(out, "Nothing to do") {
			t.Errorf("repaired, up says\n%s", out)
		}
		d.works(t, stack, "socket", "echo whole", "whole")
		unhurt(t)
	})
}
