package heptapodtest

import (
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// AddKey lets the holder of an ssh key in as the user. The key is a line as in
// authorized_keys.
func (s *Server) AddKey(user, title, key string) error {
	return s.db.Update(func(tx *store.Tx) error {
		u := tx.User(user)
		if u == nil {
			return fmt.Errorf("add key of %s: %w", user, ErrNotFound)
		}
		if _, err := s.addKey(tx, u, title, key); err != nil {
			return fmt.Errorf("add key of %s: %w", user, err)
		}
		return nil
	})
}

func (s *Server) addKey(tx *store.Tx, u *store.User, title, key string) (*store.SSHKey, error) {
	pub, comment, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
	if err != nil {
		return nil, &problem{http.StatusBadRequest, map[string]any{"message": map[string]any{"key": []string{"is invalid"}}}}
	}
	k := &store.SSHKey{
		UserID: u.ID, Title: title, Key: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(pub))),
		Fingerprint: ssh.FingerprintSHA256(pub), CreatedAt: s.now(),
	}
	if k.Title == "" {
		k.Title = comment
	}
	if tx.Key(k.Fingerprint) != nil {
		return nil, taken("fingerprint_sha256")
	}
	tx.Keys.Put(k)
	return k, nil
}

// AuthorizedKey names the user whom a key lets in; the key is a line as in
// authorized_keys or a fingerprint, SHA256:….
func (s *Server) AuthorizedKey(key string) (user string, err error) {
	fingerprint := strings.TrimSpace(key)
	if !strings.HasPrefix(fingerprint, "SHA256:") {
		pub, _, _, _, err := ssh.ParseAuthorizedKey([]byte(key))
		if err != nil {
			return "", fmt.Errorf("find key: %w", err)
		}
		fingerprint = ssh.FingerprintSHA256(pub)
	}
	err = s.db.View(func(tx *store.Tx) error {
		k := tx.Key(fingerprint)
		if k == nil {
			return fmt.Errorf("find key %s: %w", fingerprint, ErrNotFound)
		}
		u := tx.Users.Get(k.UserID)
		if u == nil || u.Blocked {
			return fmt.Errorf("find user of key %s: %w", fingerprint, ErrNotFound)
		}
		user = u.Username
		return nil
	})
	return user, err
}

func shownKey(k *store.SSHKey) map[string]any {
	return map[string]any{"id": k.ID, "title": k.Title, "key": k.Key, "created_at": stamp(k.CreatedAt), "expires_at": nil, "usage_type": "auth_and_signing"}
}

func (s *Server) listKeys(c *call) error {
	out := []map[string]any{}
	err := c.view(func(tx *store.Tx) error {
		for _, k := range tx.KeysOf(c.who.user.ID) {
			out = append(out, shownKey(k))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, page(c, out))
}

func (s *Server) createKey(c *call) error {
	for _, f := range []string{"title", "key"} {
		if c.p.String(f) == "" {
			return missing(f)
		}
	}
	var k *store.SSHKey
	err := c.update(func(tx *store.Tx) (err error) {
		k, err = s.addKey(tx, c.who.user, c.p.String("title"), c.p.String("key"))
		return err
	})
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, shownKey(k))
}

func (s *Server) deleteKey(c *call) error {
	err := c.update(func(tx *store.Tx) error {
		k := tx.Keys.Get(c.id("id"))
		if k == nil || k.UserID != c.who.user.ID {
			return notFound("Key")
		}
		tx.Keys.Delete(k.ID)
		return nil
	})
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
