package vcs

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// serveCGI lets a program answer r, as CGI (RFC 3875) has it: the body goes to
// in, the answer comes from out. Both are closed when it returns, also when the
// client goes away, and then the program is expected to end.
func serveCGI(w http.ResponseWriter, r *http.Request, in io.WriteCloser, out io.ReadCloser) {
	defer context.AfterFunc(r.Context(), func() { in.Close(); out.Close() })()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		// What breaks off on the client's side the program sees as the end.
		_, _ = io.Copy(in, r.Body)
		in.Close()
	}()
	defer func() {
		out.Close()
		in.Close()
		<-sent // r.Body is the server's again
	}()
	answer := textproto.NewReader(bufio.NewReader(out))
	header, err := answer.ReadMIMEHeader()
	status := http.StatusOK
	if text := header.Get("Status"); err == nil && text != "" {
		code, _, _ := strings.Cut(text, " ")
		status, err = strconv.Atoi(code)
	}
	if err != nil || status < 200 || status > 599 {
		http.Error(w, "the program behind this address failed", http.StatusInternalServerError)
		return
	}
	header.Del("Status")
	for name, values := range header {
		w.Header()[name] = values
	}
	w.WriteHeader(status)
	// A client that went away is not told.
	_, _ = io.Copy(w, answer.R)
}

// meta describes r in CGI's variables.
func meta(r *http.Request) []string {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
	}
	env := []string{
		"GATEWAY_INTERFACE=CGI/1.1", "SERVER_SOFTWARE=heptapodtest", "SERVER_NAME=" + host, "SERVER_PORT=" + port,
		"SERVER_PROTOCOL=HTTP/1.1", "HTTP_HOST=" + r.Host, "REQUEST_METHOD=" + r.Method, "QUERY_STRING=" + r.URL.RawQuery,
		"PATH_INFO=",
	}
	if asker, _, err := net.SplitHostPort(r.RemoteAddr); err == nil {
		env = append(env, "REMOTE_ADDR="+asker, "REMOTE_HOST="+asker)
	}
	if r.ContentLength > 0 {
		env = append(env, "CONTENT_LENGTH="+strconv.FormatInt(r.ContentLength, 10))
	}
	for name, values := range passed(r) {
		name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		if name == "CONTENT_TYPE" {
			env = append(env, name+"="+values[0])
		} else if name != "CONTENT_LENGTH" {
			env = append(env, "HTTP_"+name+"="+strings.Join(values, ", "))
		}
	}
	return env
}

// passed are the headers that a program sees: neither the client's credentials
// nor the transport's own.
func passed(r *http.Request) http.Header {
	h := r.Header.Clone()
	for name := range h {
		switch {
		case strings.Contains(name, "_"), name == "Authorization", name == "Proxy-Authorization", name == "Proxy", name == "Cookie", name == "Expect", name == "Transfer-Encoding":
			delete(h, name)
		}
	}
	return h
}
