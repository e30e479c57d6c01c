package heptapod

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

func TestTokenIsDue(t *testing.T) {
	f := forge(t, Config{})
	ends := func(days int) converge.ObservedFile {
		return converge.ObservedFile{Exists: true, Content: Token{NewSecret("glpat-x"), f.now().AddDate(0, 0, days)}.content()}
	}
	for _, c := range []struct {
		name  string
		file  converge.ObservedFile
		cause string
	}{
		{"no file", converge.ObservedFile{}, "there is none"},
		{"empty file", converge.ObservedFile{Exists: true}, "there is none"},
		{"rubbish", converge.ObservedFile{Exists: true, Content: []byte("glpat-x")}, "the one on the host cannot be read"},
		{"fresh", ends(30), ""},
		{"eight days left", ends(8), ""},
		{"seven days left", ends(7), "the present one ends on 2026-11-27"},
		{"ended", ends(-1), "the present one ends on 2026-11-19"},
	} {
		if got := f.due(c.file); got != c.cause {
			t.Errorf("%s: %q, want %q", c.name, got, c.cause)
		}
	}
}

func TestParseTokenKeepsSecrets(t *testing.T) {
	for _, content := range []string{`{"token":"glpat-x"}`, `{"token":"glpat-x","expires_at":"soon"}`, `glpat-x`, `{"token":glpat-x}`} {
		if _, err := ParseToken([]byte(content)); err == nil || strings.Contains(err.Error(), "glpat") {
			t.Errorf("%s: %v", content, err)
		}
	}
	if _, err := ParseToken([]byte("\n")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty: %v", err)
	}
}

func TestMint(t *testing.T) {
	var curls int
	host := &fakeHost{
		files: map[string]string{FileToken: `{"token":"glpat-old","expires_at":"2026-11-22"}`},
		exec: func(_ context.Context, cmd []string, stdin []byte) (converge.ExecResult, error) {
			if cmd[0] == "gitlab-rails" {
				if string(stdin) != string(tokenScript) {
					t.Error("another script")
				}
				return converge.ExecResult{Stdout: []byte("DEPRECATION: x\nHEPTA_TOKEN=glpat-new\nHEPTA_EXPIRES=2026-12-20\n")}, nil
			}
			curls++
			if !strings.Contains(string(stdin), "glpat-old") || !strings.Contains(string(stdin), `"DELETE"`) ||
				!strings.Contains(string(stdin), "/api/v4/personal_access_tokens/self") {
				t.Error("the old token was not revoked")
			}
			return converge.ExecResult{Stdout: []byte("HTTP/1.1 204 No Content\r\n\r\n")}, nil
		},
	}
	f := forge(t, Config{})
	if _, err := f.mint(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	token, why, err := f.keptToken(t.Context(), host)
	if err != nil || why != "" || token.Value.Reveal() != "glpat-new" || token.Expires.Format(time.DateOnly) != "2026-12-20" {
		t.Errorf("kept %v, %v", token.Expires, err)
	}
	if host.modes[FileToken] != 0o600 || curls != 1 {
		t.Errorf("mode %v, %d requests", host.modes[FileToken], curls)
	}
}

// A forge that begins again on its data goes on with the token that is there.
func TestATokenThatLastsIsKept(t *testing.T) {
	for _, c := range []struct {
		name, file, answer string
		minted             bool
	}{
		{"lasts and is accepted", `{"token":"glpat-old","expires_at":"2026-12-19"}`, "200 OK", false},
		{"lasts and is not accepted", `{"token":"glpat-old","expires_at":"2026-12-19"}`, "401 Unauthorized", true},
		{"ends soon", `{"token":"glpat-old","expires_at":"2026-11-21"}`, "200 OK", true},
		{"is empty", "", "200 OK", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			host := &fakeHost{
				files: map[string]string{FileToken: c.file},
				exec: func(_ context.Context, cmd []string, _ []byte) (converge.ExecResult, error) {
					if cmd[0] == "gitlab-rails" {
						return converge.ExecResult{Stdout: []byte("HEPTA_TOKEN=glpat-new\nHEPTA_EXPIRES=2026-12-20\n")}, nil
					}
					return converge.ExecResult{Stdout: []byte("HTTP/1.1 " + c.answer + "\r\n\r\n")}, nil
				},
			}
			f := forge(t, Config{})
			tasks, err := f.decideToken(&converge.Observed{})
			if err != nil || len(tasks) != 1 || tasks[0].Cause != converge.CauseUnseen {
				t.Fatalf("tasks %+v, %v", tasks, err)
			}
			if !slices.Contains(tasks[0].After, "file:"+FileToken) {
				t.Error("the task writes the file while that is made")
			}
			if err := tasks[0].Run(t.Context(), host); err != nil {
				t.Fatal(err)
			}
			if minted := strings.Contains(host.files[FileToken], "glpat-new"); minted != c.minted {
				t.Errorf("minted %v, want %v", minted, c.minted)
			}
		})
	}
}

func TestMintFailures(t *testing.T) {
	for _, c := range []struct {
		result converge.ExecResult
		want   string
	}{
		{converge.ExecResult{ExitCode: 137}, "memory"},
		{converge.ExecResult{ExitCode: 1, Stderr: []byte("notice\nno administrator of the forge is active\n"), Stdout: []byte("HEPTA_TOKEN=glpat-x\n")}, "no administrator of the forge is active"},
		{converge.ExecResult{Stdout: []byte("hello\n")}, "it printed no token"},
		{converge.ExecResult{Stdout: []byte("HEPTA_TOKEN=glpat-x\n")}, "it printed no token"},
	} {
		_, err := mintedToken(c.result)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(fault.Describe(err), "glpat") || fault.Remedy(err) == "" {
			t.Errorf("%+v: %v", c.result, err)
		}
	}
}

// rails stands for the objects of GitLab that the script speaks to.
const rails = `
require 'json'
require 'date'
class Integer
  def days = self
  def from_now = Time.new(2026, 11, 20) + self * 86400
end
class Time
  def to_date = Date.new(year, month, day)
end
module Gitlab
  module Auth
    def self.all_available_scopes = [:read_user, :api, 'create_runner', :sudo]
  end
end
Made = Struct.new(:token, :expires_at)
Tokens = Struct.new(:owner) do
  def create!(**args)
    STDERR.puts owner, JSON.generate(args)
    Made.new('glpat-made', args[:expires_at])
  end
end
class Relation < Array
  def order(key) = Relation.new(sort_by(&key))
end
User = Struct.new(:id, :username, :admin, :state, :may) do
  def active? = state == 'active'
  def can?(ability) = ability == :access_api && may
  def personal_access_tokens = Tokens.new(username)
  def self.where(admin:) = Relation.new(JSON.parse(ARGV[1]).map { |row| new(*row) }.select { |u| u.admin == admin })
end
eval(File.read(ARGV[0]), TOPLEVEL_BINDING, 'token.rb')
`

// The token is that of an administrator whom the API lets in, whatever has
// become of root.
func TestTokenScript(t *testing.T) {
	path := t.TempDir() + "/token.rb"
	writeFile(t, path, string(tokenScript))
	for _, c := range []struct{ name, users, owner string }{
		{"root", `[[7,"second",true,"active",true],[1,"root",true,"active",true],[2,"somebody",false,"active",true]]`, "root"},
		{"root has another name", `[[1,"chief",true,"active",true],[2,"root",false,"active",true]]`, "chief"},
		{"root is blocked", `[[1,"root",true,"blocked",false],[2,"somebody",false,"active",true],[3,"second",true,"active",true]]`, "second"},
		{"root has not accepted the terms", `[[1,"root",true,"active",false],[3,"second",true,"active",true]]`, "second"},
		{"root is gone", `[[5,"third",true,"active",true],[3,"second",true,"active",true]]`, "second"},
	} {
		out, notices := rubyOutput(t, "C.UTF-8", rails, path, c.users)
		token, err := mintedToken(converge.ExecResult{Stdout: []byte(out)})
		if err != nil || token.Value.Reveal() != "glpat-made" || token.Expires.Format(time.DateOnly) != "2026-12-20" {
			t.Errorf("%s: %q: %v", c.name, out, err)
		}
		if want := c.owner + "\n" + `{"name":"hepta","scopes":["api","create_runner"],"expires_at":"2026-12-20"}`; strings.TrimSpace(notices) != want {
			t.Errorf("%s: made with %s, want %s", c.name, notices, want)
		}
	}
}
