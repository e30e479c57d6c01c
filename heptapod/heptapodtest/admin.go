package heptapodtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/heptaup/hepta/heptapod/heptapodtest/internal/store"
)

// AdminHandler serves what an administrator does on the forge's own host. It
// asks for no credentials: serve it on a unix socket that only root opens.
// AdminClient speaks to it. Bodies are JSON; a refusal is {"error": "text"}.
//
//	POST   /token                 TokenRequest → {"token"}
//	DELETE /token                 {"token"}
//	GET    /scopes                → the scopes that a token can have
//	POST   /user                  {"username","email","password","admin"} → User
//	GET    /users                 → the Users in the order in which they were made
//	GET    /user/{name}           → User
//	PUT    /user/{name}/admin     {"admin"}
//	PUT    /user/{name}/blocked   {"blocked"}
//	PUT    /user/{name}/password  {"password"}
//	POST   /user/{name}/keys      {"title","key"}
//	POST   /runner                RunnerRequest → Runner with its token
//	GET    /registration-token    → {"token","allowed"}
//	PUT    /registration-token    {"allowed"}
//	GET    /registry              → {"jwks","certificate"}
//	POST   /ssh/authorize         {"key"} or {"fingerprint"} → {"user"}
//	POST   /ssh/session           upgrade to a session, see AdminClient.SSH
//	GET    /health                → {"version"}
func (s *Server) AdminHandler() http.Handler {
	mux := http.NewServeMux()
	handle := func(pattern string, fn func(r *http.Request, in *adminBody) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			in := &adminBody{}
			if r.ContentLength != 0 {
				if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, bodyLimit)).Decode(in); err != nil {
					adminAnswer(w, http.StatusBadRequest, map[string]string{"error": "invalid JSON"})
					return
				}
			}
			out, err := fn(r, in)
			switch {
			case errors.Is(err, ErrNotFound):
				adminAnswer(w, http.StatusNotFound, map[string]string{"error": err.Error()})
			case err != nil:
				adminAnswer(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
			default:
				adminAnswer(w, http.StatusOK, out)
			}
		})
	}
	handle("POST /token", func(_ *http.Request, in *adminBody) (any, error) {
		token, err := s.MintToken(TokenRequest{User: in.User, Name: in.Name, Scopes: in.Scopes, ExpiresAt: in.ExpiresAt, Value: in.Token})
		return map[string]string{"token": token}, err
	})
	handle("DELETE /token", func(_ *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.RevokeToken(in.Token)
	})
	handle("GET /scopes", func(*http.Request, *adminBody) (any, error) { return s.Scopes(), nil })
	handle("POST /user", func(_ *http.Request, in *adminBody) (any, error) {
		return s.CreateUser(in.Username, in.Email, NewSecret(in.Password), in.Admin)
	})
	handle("GET /user/{name}", func(r *http.Request, _ *adminBody) (any, error) { return s.FindUser(r.PathValue("name")) })
	handle("GET /users", func(*http.Request, *adminBody) (any, error) { return s.Users() })
	handle("PUT /user/{name}/admin", func(r *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.SetAdmin(r.PathValue("name"), in.Admin)
	})
	handle("PUT /user/{name}/blocked", func(r *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.BlockUser(r.PathValue("name"), in.Blocked)
	})
	handle("PUT /user/{name}/password", func(r *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.ResetPassword(r.PathValue("name"), NewSecret(in.Password))
	})
	handle("POST /user/{name}/keys", func(r *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.AddKey(r.PathValue("name"), in.Title, in.Key)
	})
	handle("POST /runner", func(_ *http.Request, in *adminBody) (any, error) { return s.CreateRunner(in.Runner) })
	handle("GET /registration-token", func(*http.Request, *adminBody) (any, error) {
		set, err := s.settings()
		return map[string]any{"token": set.RegistrationToken, "allowed": set.AllowRegistrationToken}, err
	})
	handle("PUT /registration-token", func(_ *http.Request, in *adminBody) (any, error) {
		return struct{}{}, s.db.Update(func(tx *store.Tx) error {
			set := tx.Settings()
			set.AllowRegistrationToken = in.Allowed
			if in.Token != "" {
				set.RegistrationToken = in.Token
			}
			tx.PutSettings(set)
			return nil
		})
	})
	handle("GET /registry", func(*http.Request, *adminBody) (any, error) {
		jwks, err := s.RegistryJWKS()
		if err != nil {
			return nil, err
		}
		cert, err := s.RegistryCertificate()
		return map[string]string{"jwks": string(jwks), "certificate": string(cert)}, err
	})
	handle("POST /ssh/authorize", func(_ *http.Request, in *adminBody) (any, error) {
		what := in.Key
		if what == "" {
			what = in.Fingerprint
		}
		user, err := s.AuthorizedKey(what)
		return map[string]string{"user": user}, err
	})
	handle("GET /health", func(*http.Request, *adminBody) (any, error) {
		return map[string]string{"version": s.cfg.Version}, nil
	})
	mux.HandleFunc("POST /ssh/session", s.serveSession)
	return mux
}

type adminBody struct {
	User        string   `json:"user"`
	Name        string   `json:"name"`
	Scopes      []string `json:"scopes"`
	ExpiresAt   string   `json:"expires_at"`
	Token       string   `json:"token"`
	Username    string   `json:"username"`
	Email       string   `json:"email"`
	Password    string   `json:"password"`
	Admin       bool     `json:"admin"`
	Blocked     bool     `json:"blocked"`
	Title       string   `json:"title"`
	Key         string   `json:"key"`
	Fingerprint string   `json:"fingerprint"`
	Allowed     bool     `json:"allowed"`

	Runner RunnerRequest `json:"runner"`
}

func adminAnswer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // whoever asked may be gone
}

// sessionProtocol is what an ssh session's connection is upgraded to.
const sessionProtocol = "heptapod-ssh"

// serveSession turns the request's connection into an ssh session: what the
// client sends is standard input until it closes its half, what it gets are
// frames.
func (s *Server) serveSession(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != sessionProtocol {
		adminAnswer(w, http.StatusUpgradeRequired, map[string]string{"error": "want Upgrade: " + sessionProtocol})
		return
	}
	user, command := r.Header.Get("Ssh-User"), r.Header.Get("Ssh-Command")
	conn, buf, err := http.NewResponseController(w).Hijack()
	if err != nil {
		adminAnswer(w, http.StatusInternalServerError, map[string]string{"error": "connection cannot be upgraded"})
		return
	}
	defer conn.Close()
	fmt.Fprintf(buf, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", sessionProtocol)
	if buf.Flush() != nil {
		return
	}
	out := &framer{w: conn}
	exit, err := s.SSH(s.work, user, command, buf.Reader, out.stream(frameOut), out.stream(frameErr))
	if err != nil {
		s.log.Debug("ssh session refused", "user", user, "error", err)
		exit = max(exit, 1)
	}
	_, _ = out.stream(frameExit).Write([]byte{byte(exit)}) // the client may be gone
}
