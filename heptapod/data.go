package heptapod

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/heptaup/hepta/internal/converge"
	"github.com/heptaup/hepta/internal/fault"
)

// RefData is the task that looks at what lies in the data directory before
// the forge is started on it for the first time.
const RefData Ref = "task:heptapod-data"

// fileSecrets holds the keys of encrypted columns. The image makes new ones
// when it is missing, which no database can be read with.
const fileSecrets = "heptapod/config/gitlab-secrets.json"

// fileForeignRB is where a gitlab.rb goes that stood there before hepta's.
const fileForeignRB = "heptapod/config/gitlab.rb.before-hepta"

// databaseMarks are files that exist once the forge has had a database. Each
// is a few bytes long.
var databaseMarks = []string{
	"heptapod/data/bootstrapped",
	fileVersion,
	"heptapod/data/postgresql/data/PG_VERSION",
}

// startsOnData reports whether Up may start the forge on data that it does not
// run on now, or by an image that it does not run from.
func (f *Forge) startsOnData(o *converge.Observed) bool {
	s := &converge.Stack{Name: f.cfg.Stack, Containers: []converge.Container{{Service: Service, Name: f.ContainerName()}}}
	there := s.Of(Service, o)
	return len(there) != 1 || !there[0].Running() || there[0].Labels[converge.LabelData] != f.cfg.Data || !f.runs(there[0], f.imageFor(s, o), o)
}

// decideData asks for a look at the data directory while the stack has no
// container of the forge that has run: nothing shows the files before one is
// created.
func (f *Forge) decideData(o *converge.Observed) ([]converge.Task, error) {
	for _, c := range o.Containers {
		if c.Service == Service && c.State != "created" {
			return nil, nil
		}
	}
	return []converge.Task{{
		Name:  "forge data",
		Verb:  "check",
		Cause: "a new container gets " + f.cfg.Data + "/heptapod",
		Ref:   RefData,
		// Written as soon as a container is there to write through.
		After:  []converge.Ref{"file:" + FileReadme},
		Before: f.guarded(),
		Run:    f.checkData,
	}}, nil
}

// guarded is all that has to wait for the look at the data directory: the
// start of the forge and every file that could take another's place.
func (f *Forge) guarded() []converge.Ref {
	refs := []converge.Ref{"container:" + Service}
	for _, path := range []string{FileToken, FileRootPassword, fileImage, FileGitlabRB, fileSMTPPassword, FileRegistryCert, FileRegistryKey} {
		refs = append(refs, converge.Ref("file:"+path))
	}
	return refs
}

// checkData refuses a database whose keys are missing, and keeps a copy of a
// gitlab.rb that someone else wrote.
func (f *Forge) checkData(ctx context.Context, host converge.Host) error {
	if err := checkKeys(ctx, host, f.cfg.Data); err != nil {
		return err
	}
	foreign, err := host.ReadFile(ctx, FileGitlabRB)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("check data directory: %w", err)
	}
	if len(bytes.TrimSpace(foreign)) == 0 || bytes.HasPrefix(foreign, []byte(gitlabRBMark)) {
		return nil
	}
	host.Progress("the gitlab.rb that was there is kept as " + fileForeignRB)
	if err := host.WriteFile(ctx, fileForeignRB, foreign, 0o600, 0, 0); err != nil {
		return fmt.Errorf("keep the gitlab.rb that was there: %w", err)
	}
	return nil
}

func checkKeys(ctx context.Context, host converge.Host, data string) error {
	secrets, err := host.ReadFile(ctx, fileSecrets)
	if err == nil && len(bytes.TrimSpace(secrets)) > 0 {
		return nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("check data directory: %w", err)
	}
	for _, mark := range databaseMarks {
		_, err := host.ReadFile(ctx, mark)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("check data directory: %w", err)
		}
		return &fault.Error{
			Op:   "start the forge on",
			What: data + "/heptapod",
			Why:  fmt.Sprintf("there is a database (%s) and no %s: every runner, variable and two-factor login in it is encrypted with keys from that file", mark, fileSecrets),
			Remedy: "Put the gitlab-secrets.json that belongs to this data back to " + data + "/" + fileSecrets +
				" (it is in every backup of /etc/gitlab), or empty " + data + "/heptapod/data to begin anew.",
		}
	}
	return nil
}
