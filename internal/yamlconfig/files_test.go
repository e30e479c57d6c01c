package yamlconfig

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/heptaup/hepta/internal/secret"
)

type named struct {
	PasswordFile string       `yaml:"password_file" into:"Password" private:"true"`
	Password     secret.Value `yaml:"-"`
	CertFile     string       `yaml:"cert" into:"Cert"`
	Cert         []byte       `yaml:"-"`
	UsersFile    string       `yaml:"users_file" into:"Users" private:"true"`
	Users        []string     `yaml:"-"`
}

func write(t *testing.T, dir, name, content string, mode fs.FileMode) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestReadFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "pw", "geheim\n", 0o600)
	write(t, dir, "crt", "PEM\n", 0o644)
	write(t, dir, "users", "# who\n\na:b\n c:d \n", 0o640)
	n := named{PasswordFile: "pw", CertFile: filepath.Join(dir, "crt"), UsersFile: "users"}
	problems, warnings := ReadFiles(dir, &n)
	if len(problems)+len(warnings) > 0 {
		t.Fatal(problems, warnings)
	}
	if n.Password.Reveal() != "geheim" || string(n.Cert) != "PEM\n" || strings.Join(n.Users, "|") != "a:b|c:d" {
		t.Errorf("got %q %q %q", n.Password.Reveal(), n.Cert, n.Users)
	}
}

func TestReadFilesKeepsContent(t *testing.T) {
	n := named{PasswordFile: "nowhere", Password: secret.New("here")}
	if problems, _ := ReadFiles(t.TempDir(), &n); len(problems) > 0 || n.Password.Reveal() != "here" {
		t.Error(problems, n.Password.Reveal())
	}
}

func TestReadFilesProblems(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "empty", " \n", 0o600)
	write(t, dir, "lines", "geheim\nzwei\n", 0o600)
	write(t, dir, "large", strings.Repeat("x", maxFile+1), 0o600)
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"nowhere": "no such file or directory",
		"empty":   "it is empty",
		"lines":   "it has more than one line, a secret has one",
		"large":   "it has more than 262144 bytes",
		"dir":     "it is not a regular file",
	} {
		n := named{PasswordFile: name}
		problems, _ := ReadFiles(dir, &n)
		if len(problems) != 1 {
			t.Fatalf("%s: %v", name, problems)
		}
		want = "read " + filepath.Join(dir, name) + ": " + want
		if p := problems[0]; p.Path != "password_file" || p.Text != want || strings.Contains(p.Text, "geheim") {
			t.Errorf("%s: got %s: %s, want %s", name, p.Path, p.Text, want)
		}
	}
}

func TestReadFilesWarnsOfOpenSecrets(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "pw", "geheim\n", 0o644)
	write(t, dir, "crt", "PEM\n", 0o644)
	n := named{PasswordFile: "pw", CertFile: "crt"}
	_, warnings := ReadFiles(dir, &n)
	if len(warnings) != 1 || warnings[0].Path != "password_file" || !strings.Contains(warnings[0].Text, "mode 0644") || strings.Contains(warnings[0].Text, "geheim") {
		t.Errorf("got %v", warnings)
	}
}

// A byte order mark is no part of what a file, a variable or standard input holds.
func TestByteOrderMarkIsNoPartOfASecret(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "pw", "\ufeffgeheim\r\n", 0o600)
	write(t, dir, "users", "\ufeffa:b\n", 0o600)
	write(t, dir, "alone", "\ufeff\n", 0o600)
	t.Setenv("HEPTA_TEST_PW", "\ufeffgeheim")
	for _, from := range []string{"pw", "env:HEPTA_TEST_PW"} {
		n := named{PasswordFile: from, UsersFile: "users"}
		if problems, _ := ReadFiles(dir, &n); len(problems) > 0 || n.Password.Reveal() != "geheim" || n.Users[0] != "a:b" {
			t.Errorf("%s: %v %q %q", from, problems, n.Password.Reveal(), n.Users)
		}
	}
	n := named{PasswordFile: "alone"}
	if problems, _ := ReadFiles(dir, &n); len(problems) != 1 || !strings.HasSuffix(problems[0].Text, "it is empty") {
		t.Error(problems)
	}
}
