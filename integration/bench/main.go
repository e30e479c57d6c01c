package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// options is the command line.
type options struct {
	suite string
	only  []string // names of measures; none: all
	n     int      // samples of each program
	json  bool
	keep  bool // leave the nested Engine and the stack running
	trace bool // show the calls of plain stacks
}

const leastSamples = 15

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.suite, "suite", defaultSuite, "what to measure: "+strings.Join(slices.Sorted(maps.Keys(suites)), ", "))
	flags.StringVar(&only, "only", "", "measure only these of the suite, separated by commas; of "+defaultSuite+": "+strings.Join(names(defaultSuite), ", "))
	flags.IntVar(&o.n, "n", leastSamples, "samples of each program")
	flags.BoolVar(&o.json, "json", false, "write one JSON object on one line")
	flags.BoolVar(&o.keep, "keep", false, "leave the nested Engine and the stack running, and say where")
	flags.BoolVar(&o.trace, "trace", false, "after cold_up and recreate_1, do it once more and show when hepta makes which call and how long it takes")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("there is an argument %q; bench takes only flags", flags.Arg(0))
	}
	if o.n < 1 {
		return o, fmt.Errorf("-n %d: at least one sample is needed", o.n)
	}
	if suites[o.suite] == nil {
		return o, fmt.Errorf("there is no suite %q; there are %s", o.suite, strings.Join(slices.Sorted(maps.Keys(suites)), ", "))
	}
	for name := range strings.SplitSeq(only, ",") {
		if name = strings.TrimSpace(name); name == "" {
			continue
		}
		if all := names(o.suite); !slices.Contains(all, name) {
			return o, fmt.Errorf("there is no measure %q; there are %s", name, strings.Join(all, ", "))
		}
		o.only = append(o.only, name)
	}
	return o, nil
}

func run(args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	if err == flag.ErrHelp {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := measureAll(ctx, o, stderr)
	if len(report.Results) > 0 {
		write := report.table
		if o.json {
			write = report.json
		}
		if err := write(stdout); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			return 1
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return 1
	}
	return 0
}

// measureAll makes what the chosen measures need, once, and takes them one
// after the other. What was measured before an error is in the report.
func measureAll(ctx context.Context, o options, stderr io.Writer) (r report, err error) {
	b := &bench{options: o, out: stderr}
	defer func() {
		r.About = b.about(context.WithoutCancel(ctx))
		if left := b.close(ctx); err == nil {
			err = left
		}
	}()
	for _, m := range suites[o.suite]() {
		if len(o.only) > 0 && !slices.Contains(o.only, m.name) {
			continue
		}
		for _, need := range m.needs {
			if err := need(b, ctx); err != nil {
				return r, fmt.Errorf("prepare %s: %w", m.name, err)
			}
		}
		b.say("measure %s", m.name)
		result, err := m.take(b, ctx)
		if err != nil {
			return r, fmt.Errorf("measure %s: %w", m.name, err)
		}
		for i := range result {
			b.say("  %s", result[i].line())
		}
		r.Results = append(r.Results, result...)
	}
	if o.keep && b.socket != "" {
		b.say("left running: DOCKER_HOST=unix://%s %s -f %s up", b.socket, b.hepta, b.config)
	}
	return r, nil
}
