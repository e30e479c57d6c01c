package heptapod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// Result is what a command in the forge's container left behind.
type Result = converge.ExecResult

// Exec runs a command in the forge's running container. A command that fails
// gives a Result with its exit code and no error.
func (f *Forge) Exec(ctx context.Context, stdin []byte, cmd ...string) (Result, error) {
	host, release, err := f.connect(ctx, false)
	if err != nil {
		return Result{}, err
	}
	defer release()
	result, err := host.Exec(ctx, Service, cmd, stdin)
	if err != nil {
		return result, fmt.Errorf("run %s in %s: %w", firstWord(cmd), f.ContainerName(), err)
	}
	return result, nil
}

// RootPassword is the password that root got at the forge's first boot. A
// password changed since then, or set before hepta took the forge over, is
// known to nobody here.
func (f *Forge) RootPassword(ctx context.Context) (Secret, error) {
	host, release, err := f.connect(ctx, false)
	if err != nil {
		return Secret{}, err
	}
	defer release()
	content, err := host.ReadFile(ctx, FileRootPassword)
	text := strings.TrimSpace(string(content))
	if err == nil && text == "" {
		err = fs.ErrNotExist
	}
	if err != nil {
		failed := &fault.Error{Op: "read root password of", What: f.ContainerName(), Err: err}
		if errors.Is(err, fs.ErrNotExist) {
			failed.Why = "there is none at " + f.cfg.Data + "/" + FileRootPassword
			failed.Remedy = "Set a new one: docker exec -it " + f.ContainerName() + ` gitlab-rake "gitlab:password:reset[root]"`
		}
		return Secret{}, failed
	}
	return NewSecret(text), nil
}

// Token is the API token that is kept on the host. The error of one that is
// missing or has ended names the remedy.
func (f *Forge) Token(ctx context.Context) (Token, error) {
	host, release, err := f.connect(ctx, false)
	if err != nil {
		return Token{}, err
	}
	defer release()
	token, why, err := f.keptToken(ctx, host)
	if err == nil && why != "" {
		err = &fault.Error{Op: "read API token of", What: f.ContainerName(), Why: why, Remedy: "Make a new one: hepta token renew"}
	}
	return token, err
}

// RenewToken makes a new API token, whatever the present one is good for, and
// ends that one. It boots Rails and takes a minute or two.
func (f *Forge) RenewToken(ctx context.Context) (Token, error) {
	host, release, err := f.connect(ctx, true)
	if err != nil {
		return Token{}, err
	}
	defer release()
	f.renewing.Lock()
	defer f.renewing.Unlock()
	return f.mint(ctx, host)
}

// checkTimeout bounds a look whose outcome nothing depends on.
const checkTimeout = 10 * time.Second

// RefusesToken reports whether the running forge refuses the token in the
// content of FileToken. A forge that cannot be asked does not.
func (f *Forge) RefusesToken(ctx context.Context, content []byte) bool {
	token, err := ParseToken(content)
	if err != nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	host, release, err := f.connect(ctx, false)
	if err != nil {
		return false
	}
	defer release()
	return f.ask(ctx, host, token) == rejectedToken
}

// Transport sends requests for the forge's URL through its container.
func (f *Forge) Transport() *ExecTransport {
	return &ExecTransport{External: f.base, Run: func(ctx context.Context, cmd []string, stdin []byte) ([]byte, []byte, int, error) {
		r, err := f.Exec(ctx, stdin, cmd...)
		return r.Stdout, r.Stderr, r.ExitCode, err
	}}
}

func firstWord(cmd []string) string {
	if len(cmd) == 0 {
		return "nothing"
	}
	return cmd[0]
}
