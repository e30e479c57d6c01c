package heptapod

import (
	"strings"

	"github.com/heptaup/hepta/internal/converge"
)

// fileImage holds the reference of the image that was last started on the data,
// so that a forge whose container is gone gets the same one again.
const fileImage = "heptapod/config/hepta/image"

// imageFor is the image that the forge has to run: the one that Config names,
// else the one that is there, else the one that was there last, else the
// default. A new release of this program upgrades no forge by itself.
func (f *Forge) imageFor(s *converge.Stack, o *converge.Observed) string {
	if f.named {
		return f.cfg.Image
	}
	if list := s.Of(Service, o); len(list) > 0 {
		if image, _ := list[0].MadeFrom(); image != "" {
			return image
		}
	}
	last := strings.TrimSpace(string(o.Files[fileImage].Content))
	if _, err := ParseVersion(last); err == nil {
		return last
	}
	return f.cfg.Image
}

// resolve puts the image in where none is named, and what follows from it.
func (f *Forge) resolve(s *converge.Stack, o *converge.Observed) error {
	if f.named {
		return nil
	}
	cfg := f.cfg
	cfg.Image = f.imageFor(s, o)
	if _, err := GitlabRB(cfg); err != nil {
		return err
	}
	s.Container(Service).Image = cfg.Image
	s.File(FileGitlabRB).Merge = f.gitlabRB(cfg.Image)
	s.File(fileImage).Content = []byte(cfg.Image + "\n")
	return nil
}
