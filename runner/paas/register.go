package paas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/pelletier/go-toml/v2"

	"github.com/heptaup/hepta/internal/bom"
	"github.com/heptaup/hepta/internal/fault"
	"github.com/heptaup/hepta/internal/secret"
)

// Register makes a runner in the forge and returns its token. With a
// registration token the new runner is paused, so that it takes no job before
// its configuration is complete; a token that begins with glrt- is that of a
// runner that was made in the forge, and is only asked about.
func (c *Coordinator) Register(ctx context.Context, name string, token Secret) (Secret, error) {
	k := call{
		method: http.MethodPost, path: "/runners",
		body: map[string]any{"token": token.Reveal(), "description": name, "info": map[string]any{"name": name}, "active": false},
	}
	if IsRunnerToken(token) {
		k.path, k.body = "/runners/verify", map[string]any{"token": token.Reveal()}
	}
	a, err := c.send(ctx, k)
	if err != nil {
		return Secret{}, fmt.Errorf("register runner %s: %w", name, err)
	}
	var made struct{ Token string }
	if a.status/100 != 2 {
		remedy := "Take a registration token from the forge's settings of runners, or make the runner there and give its glrt- token."
		if IsRunnerToken(token) {
			remedy = "Make the runner in the forge and give the token that is shown then."
		}
		return Secret{}, &fault.Error{Op: "register runner", What: name, Err: a.refusal(k), Remedy: remedy}
	}
	if IsRunnerToken(token) {
		return token, nil
	}
	if json.Unmarshal(a.body, &made) != nil || made.Token == "" {
		return Secret{}, fmt.Errorf("register runner %s: the answer has no token", name)
	}
	return secret.New(made.Token), nil
}

// IsRunnerToken tells the token of a runner that was made in the forge from a
// registration token.
func IsRunnerToken(token Secret) bool { return strings.HasPrefix(token.Reveal(), "glrt-") }

// NewFile begins a configuration, unless the file is there.
func NewFile(path string, concurrent int, state string) (made bool, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("make configuration: %w", err)
	}
	head, err := toml.Marshal(struct {
		Concurrent int    `toml:"concurrent"`
		State      string `toml:"state_file"`
	}{concurrent, state})
	if err == nil {
		_, err = f.Write(head)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(path) // half a file would be taken for one that is there
		return false, fmt.Errorf("make configuration: %w", err)
	}
	return true, nil
}

// Section is what a registration adds to a configuration.
type Section struct {
	Name     string
	URL      string // as it was typed
	Token    Secret
	Executor Executor
}

// AddSection appends a [[runners]] section and leaves all that is there as it
// is, comments too. With an empty token nothing is written: it says beforehand
// whether it could be.
func AddSection(path string, s Section) error {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	was, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	more, err := toml.Marshal(map[string]any{"runners": []any{struct {
		Name     string `toml:"name"`
		URL      string `toml:"url"`
		Token    string `toml:"token"`
		Executor string `toml:"executor"`
	}{s.Name, s.URL, s.Token.Reveal(), string(s.Executor)}}})
	if err != nil {
		return fmt.Errorf("add runner: %w", err)
	}
	text := bytes.TrimRight(was, "\n")
	if len(text) > 0 {
		text = append(text, "\n\n"...)
	}
	text = append(text, more...)
	var all struct {
		Runners []struct{ Token string }
	}
	if toml.Unmarshal(bom.Trim(text), &all) != nil {
		return &fault.Error{
			Op: "add runner to", What: path, Why: "a [[runners]] section cannot be appended to what is there",
			Remedy: "Put the file in order first: 'hepta paas run' tells what is wrong and where.",
		}
	}
	if s.Token.Empty() {
		return nil
	}
	short := Runner{Token: s.Token}.Short()
	for _, other := range all.Runners[:len(all.Runners)-1] {
		if (Runner{Token: secret.New(other.Token)}).Short() == short {
			return &fault.Error{
				Op: "add runner to", What: path, Why: "a runner there has a token that begins in the same way: their hosts could not be told apart",
				Remedy: "Give each runner a token of its own.",
			}
		}
	}
	if err := renameio.WriteFile(path, text, 0o600, renameio.WithExistingPermissions(), renameio.WithTempDir(filepath.Dir(path))); err != nil {
		return fmt.Errorf("add runner: %w", err)
	}
	return nil
}
