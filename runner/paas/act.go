package paas

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// launchAttempts is how often a call is made before a launch has failed.
const launchAttempts = 4

// act does what is due and returns what came of it; nothing when the end came.
func (l *life) act(a Action) Event {
	switch a {
	case MakeHost:
		return l.makeHost()
	case Prepare:
		return l.prepare()
	case HandOver:
		return l.handOver()
	case AwaitRun:
		return l.awaitRun()
	case Observe:
		return l.observe()
	case Report:
		return l.report()
	default:
		return l.remove()
	}
}

// makeHost finds the host by its name, or asks for one. That there is none
// without looking is known only of a job that was never tried before.
func (l *life) makeHost() Event {
	job, err := ParseJob([]byte(l.record.Payload.Reveal()))
	if err != nil {
		return Event{Kind: LaunchFailed, Text: "The job's data was lost before a host was had."}
	}
	if e, there := l.pause(l.launch.turn(l.cfg.Load().LaunchSpacing)); there {
		return e
	}
	var host Host
	e, done := l.attempt("make host", launchAttempts, func() error {
		lane := l.lane(l.record.Runner)
		hosts, err := lane.provider(l.calls)
		if err != nil {
			return err
		}
		tenant, err := lane.tenant(l.calls, job)
		if err != nil {
			return err
		}
		// Where the host is to be found is on disk before it is asked for.
		if tenant != l.record.Tenant {
			next := l.record
			next.Tenant = tenant
			if !l.write(next) {
				return context.Cause(l.ctx)
			}
			l.record = next
		}
		if l.doubt {
			list, err := named(l, hosts)
			if err != nil {
				return err
			}
			if len(list) > 0 {
				host = list[0]
				host.Weight = l.record.Weight
				return nil
			}
		}
		flavor, err := lane.flavor(l.calls, job)
		if err != nil {
			return err
		}
		before := l.doubt
		l.doubt = true
		if host, err = hosts.Create(l.calls, l.record.Tenant, l.record.Name(), flavor); err == nil {
			l.doubt = before
		}
		return err
	})
	if !done {
		return e
	}
	return Event{Kind: HostMade, Host: &host}
}

// named are the hosts that bear the job's name.
func named(l *life, hosts Provider) (out []Host, err error) {
	list, err := hosts.List(l.calls, l.record.Tenant, l.record.Name())
	for _, h := range list {
		if h.Name == l.record.Name() {
			out = append(out, h)
		}
	}
	return out, err
}

// prepare makes the host ready to be pushed to.
func (l *life) prepare() Event {
	host := *l.record.Host
	e, done := l.attempt("prepare host", launchAttempts, func() error {
		hosts, err := l.lane(l.record.Runner).provider(l.calls)
		if err == nil {
			host, err = hosts.Prepare(l.calls, host)
		}
		return err
	})
	if !done {
		return e
	}
	return Event{Kind: HostPrepared, Host: &host}
}

// handOver accepts the job, unless it is over, and pushes it.
func (l *life) handOver() Event {
	standing := Unsure
	e, done := l.attempt("accept job", 0, func() (err error) {
		standing, err = l.lane(l.record.Runner).coordinator.Accept(l.calls, l.record)
		return err
	})
	switch {
	case !done:
		return e
	case standing == Over:
		return Event{Kind: Ended}
	case standing == Canceling:
		return Event{Kind: Canceled}
	}
	l.acceptedNow()
	job, err := ParseJob([]byte(l.record.Payload.Reveal()))
	if err != nil {
		return Event{Kind: LaunchFailed, Text: "The job's data was lost before it could be handed over."}
	}
	r := l.lane(l.record.Runner).Runner
	if k := r.Clever; k != nil && k.Cellar {
		e, done := l.attempt("find cache bucket", launchAttempts, func() error {
			cellar, err := l.lane(l.record.Runner).coordinator.Cellar(l.calls, *k, l.record.Host.Tenant)
			r = r.withCellar(cellar)
			return err
		})
		if !done {
			return e
		}
	}
	files, err := HandOverFiles(r, job)
	if err != nil {
		return Event{Kind: LaunchFailed, Text: fmt.Sprintf("The job could not be handed over: %v", err)}
	}
	e, done = l.attempt("hand over", launchAttempts, func() error {
		hosts, err := l.lane(l.record.Runner).provider(l.calls)
		if err == nil {
			err = hosts.Push(l.calls, *l.record.Host, files)
		}
		return err
	})
	if !done {
		return e
	}
	return Event{Kind: HandedOver}
}

// awaitRun waits until the host is heard of, or until it is clear that it will
// not be. Without a token that reads traces the word of the provider has to do;
// where there is none either, a job that was handed over counts as started. So
// it does when the trace could not be read: that the host was not heard of is
// known only to who listened.
func (l *life) awaitRun() Event {
	job, err := ParseJob([]byte(l.record.Payload.Reveal()))
	if err != nil {
		return Event{Kind: Started} // nobody knows what to wait for
	}
	told := false
	for began := time.Now(); ; {
		lane := l.lane(l.record.Runner)
		limit, step := 5*time.Minute, 2*l.cfg.Load().ProgressInterval
		watched, blind := lane.Watch != nil, false
		if watched {
			limit, step = lane.Watch.Timeout, lane.Watch.Step
			started, err := lane.coordinator.Started(l.calls, l.record, job.Project, lane.Watch.Token)
			if err == nil && started {
				return Event{Kind: Started}
			}
			blind = err != nil
			if refused(err) {
				watched = false
			}
			if blind && !told && l.ctx.Err() == nil {
				told = true
				lane.log.Warn("the trace cannot be read, by which a job is seen to start", "job", l.record.Job, "error", err,
					"remedy", "the token of [runners.paas_job_trace_watch] needs read_api and the right to see the project")
			}
		}
		late := time.Since(began) >= limit
		switch {
		case late && watched && !blind:
			return Event{Kind: LaunchFailed, Text: fmt.Sprintf("The host of this job was not heard of within %v.", limit)}
		case late || !watched && !l.deploys(lane):
			return Event{Kind: Started}
		}
		if e, there := l.pause(step); there {
			return e
		}
		switch state := l.deployment(lane); {
		case state == Failed:
			return Event{Kind: LaunchFailed, Text: "The host of this job could not be started: its deployment failed."}
		case state != UnderWay && !watched:
			return Event{Kind: Started}
		}
	}
}

// deploys reports whether the provider tells of deployments.
func (l *life) deploys(lane *lane) bool {
	hosts, err := lane.provider(l.calls)
	_, ok := hosts.(Deployer)
	return ok || err != nil
}

// deployment is how the host's is, if its provider says so.
func (l *life) deployment(lane *lane) Deployment {
	hosts, err := lane.provider(l.calls)
	if err != nil {
		return UnderWay
	}
	d, ok := hosts.(Deployer)
	if !ok {
		return Unknown
	}
	state, err := d.Deployment(l.calls, *l.record.Host)
	if Temporary(err) {
		return UnderWay
	}
	return state
}

// observe waits until the coordinator is done with the job. Trouble is no end.
func (l *life) observe() Event {
	pause := l.cfg.Load().ProgressInterval
	if l.resumed { // after a start all would look at once
		pause = rand.N(pause + 1)
	}
	for failures := 0; ; {
		if e, there := l.pause(pause); there {
			return e
		}
		lane := l.lane(l.record.Runner)
		standing, err := lane.coordinator.Look(l.calls, l.record)
		pause = l.cfg.Load().ProgressInterval
		pause += rand.N(pause/5+1) - pause/10
		switch {
		case err != nil && l.ctx.Err() == nil:
			failures++
			pause = max(pause, l.Pace.backoff(failures, err))
			l.counts.add(lane.Name, "call_errors")
			lane.log.Warn("look at job failed", "job", l.record.Job, "attempt", failures, "error", err)
		case standing == Over:
			return Event{Kind: Ended}
		default:
			failures = 0
		}
	}
}

// reportRefusals is how often the coordinator may refuse to hear of a failure
// before the job is left to its own timeout.
const reportRefusals = 5

// report tells the coordinator of the failure, as long as it takes.
func (l *life) report() Event {
	end, no := l.record.TraceOffset, 0
	e, done := l.attempt("report failure", 0, func() (err error) {
		end, err = l.lane(l.record.Runner).coordinator.Fail(l.calls, l.record)
		l.record.TraceOffset = end
		if refused(err) {
			if no++; no >= reportRefusals {
				l.lane(l.record.Runner).log.Error("the forge does not want to hear that the job failed: it is left to its timeout", "job", l.record.Job, "error", err)
				return nil
			}
		}
		return err
	})
	if !done {
		return e
	}
	return Event{Kind: Reported, Trace: end}
}

// remove deletes the host and whatever bears its name, until that is done.
func (l *life) remove() Event {
	if l.kept() {
		l.lane(l.record.Runner).log.Info("host is kept, as the configuration says", "job", l.record.Job, "host", l.record.Host.ID)
		return Event{Kind: HostGone}
	}
	failed := l.counts.overdue(l.record.Key)
	defer failed(0)
	tries := 0
	e, done := l.attempt("remove host", 0, func() error {
		tries++
		failed(tries - 1)
		hosts, err := l.lane(l.record.Runner).provider(l.calls)
		if err == nil && l.record.Host != nil {
			err = hosts.Delete(l.calls, *l.record.Host)
		}
		if err != nil || !l.doubt || l.neverAsked() {
			return err
		}
		list, err := named(l, hosts)
		for _, h := range list {
			if err == nil {
				err = hosts.Delete(l.calls, h)
			}
		}
		if err == nil && len(list) > 0 {
			err = fmt.Errorf("%d more hosts bore the name %s: look again", len(list), l.record.Name())
		}
		return err
	})
	if !done {
		return e
	}
	return Event{Kind: HostGone}
}

// neverAsked reports whether no host can have been asked for, because it was not
// known whose organisation would pay for it.
func (l *life) neverAsked() bool {
	lane := l.lane(l.record.Runner)
	return l.record.Host == nil && l.record.Tenant == "" && lane.Clever != nil && lane.Clever.Tenants
}

// kept reports whether the configuration wants the host to stay.
func (l *life) kept() bool {
	cfg, r := l.cfg.Load(), l.record
	switch {
	case r.Host == nil:
		return false
	case r.Failure == "":
		return cfg.KeepFinished && r.Host.Launched
	}
	return !cfg.RemoveFailedLaunch && r.Failure != canceled
}
