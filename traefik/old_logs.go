package traefik

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/heptaup/hepta/internal/converge"
)

// logSource is where earlier releases let the proxy keep its logs, below the
// data directory: without a bound, readable by everybody, with the tokens that
// clients had sent in URLs.
const logSource = "traefik/logs"

// decideOldLogs asks to close the directory of the logs when the container
// that wrote them is about to be replaced. What is in it stays.
func (p *Proxy) decideOldLogs(o *converge.Observed) ([]converge.Task, error) {
	if p.cfg.flagsName(logDir) || !slices.ContainsFunc(o.Containers, p.wroteLogs) {
		return nil, nil
	}
	return []converge.Task{{
		Name:   "old logs of the proxy",
		Verb:   "close",
		Cause:  "everybody on the Docker host may read " + logSource + ", and they hold tokens from URLs",
		Before: []converge.Ref{"container:" + Service},
		Run:    p.closeOldLogs,
	}}, nil
}

// wroteLogs reports whether a container is a proxy of the stack that was given
// the directory of the logs.
func (p *Proxy) wroteLogs(c converge.ObservedContainer) bool {
	if c.Service != Service {
		return false
	}
	var spec converge.Container
	err := json.Unmarshal([]byte(c.Labels[converge.LabelSpec]), &spec)
	return err == nil && slices.ContainsFunc(spec.Mounts, func(m converge.Mount) bool {
		return m.Kind == converge.Data && m.Source == logSource
	})
}

// closeOldLogs leaves the old logs to root. It is not worth a failed upgrade.
func (p *Proxy) closeOldLogs(ctx context.Context, host converge.Host) error {
	_, err := host.Run(ctx, converge.OneOff{Container: converge.Container{
		Name:       Name(p.cfg.Stack) + "-logs",
		Image:      p.cfg.Image,
		Entrypoint: []string{"chmod", "0700", "/logs"},
		User:       "0:0",
		Mounts:     []converge.Mount{{Kind: converge.Data, Source: logSource, Target: "/logs"}},
	}})
	if err != nil && ctx.Err() == nil {
		host.Progress("could not be closed (" + err.Error() + "): do it by hand with: sudo chmod 0700 " + p.cfg.Data + "/" + logSource)
		return nil
	}
	return err
}
