package heptapod

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	gitlab "gitlab.com/gitlab-org/api/client-go"

	"github.com/heptaup/hepta/internal/converge"
)

// fileTokenMinutes holds the number that was last set.
const fileTokenMinutes = "heptapod/config/hepta/registry_token_minutes"

// tokenMinutes is how long a token for the registry is to last, 0 for as long
// as the forge says.
func (f *Forge) tokenMinutes() int {
	if f.cfg.Registry == nil {
		return 0
	}
	return f.cfg.Registry.TokenMinutes
}

// decideTokenLife asks for a change of the forge's setting when the configured
// number is another one than was set last. What somebody sets in the forge
// itself stays until then.
func (f *Forge) decideTokenLife(o *converge.Observed) ([]converge.Task, error) {
	want := f.tokenMinutes()
	if want == 0 {
		return nil, nil
	}
	file, looked := o.Files[fileTokenMinutes]
	was := strings.TrimSpace(string(file.Content))
	var cause string
	switch {
	case was == strconv.Itoa(want):
		return nil, nil
	case !looked:
		cause = converge.CauseUnseen
	case was == "":
		cause = fmt.Sprintf("%d minutes are wanted", want)
	default:
		cause = fmt.Sprintf("minutes changed %s → %d", was, want)
	}
	return []converge.Task{{
		Name:  "registry tokens",
		Verb:  "set",
		Cause: cause,
		Ref:   "task:registry-tokens",
		After: []converge.Ref{"container:" + Service, RefToken, "file:" + fileTokenMinutes}, // that is made empty
		Run:   f.setTokenLife,
	}}, nil
}

// setTokenLife sets the number where it differs and then keeps it: killed in
// between, it is set once more.
func (f *Forge) setTokenLife(ctx context.Context, host converge.Host) error {
	want := strconv.Itoa(f.tokenMinutes())
	was, err := host.ReadFile(ctx, fileTokenMinutes)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if strings.TrimSpace(string(was)) == want {
		return nil
	}
	client, err := f.clientOn(ctx, host)
	if err != nil {
		return err
	}
	_, _, err = client.Settings.UpdateSettings(&gitlab.UpdateSettingsOptions{
		ContainerRegistryTokenExpireDelay: gitlab.Ptr(int64(f.tokenMinutes())),
	}, gitlab.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("set lifetime of registry tokens: %w", err)
	}
	if err := host.WriteFile(ctx, fileTokenMinutes, []byte(want+"\n"), 0o644, 0, 0); err != nil {
		return fmt.Errorf("keep lifetime of registry tokens: %w", err)
	}
	return nil
}
