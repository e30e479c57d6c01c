package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	ms := func(list ...int) (samples []time.Duration) {
		for _, n := range list {
			samples = append(samples, time.Duration(n)*time.Millisecond)
		}
		return samples
	}
	for name, c := range map[string]struct {
		samples             []time.Duration
		median, least, most float64
	}{
		"one":              {ms(7), 7, 7, 7},
		"odd, unsorted":    {ms(9, 1, 5), 5, 1, 9},
		"even":             {ms(4, 1, 2, 9), 3, 1, 9},
		"an outlier":       {ms(10, 11, 12, 13, 9000), 12, 10, 9000},
		"below the second": {[]time.Duration{1500 * time.Microsecond}, 1.5, 1.5, 1.5},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.samples)
			got := spreadOf(c.samples)
			if got.Median != c.median || got.Least != c.least || got.Most != c.most || got.N != len(c.samples) {
				t.Errorf("%+v", got)
			}
			if !slices.Equal(before, c.samples) {
				t.Error("the samples were reordered")
			}
		})
	}
	if got := ratioOf("x", 0.5, ms(10, 20, 30), ms(80, 40, 60)); got.Value != 20.0/60 || !got.met() || got.verdict() != "ok" {
		t.Errorf("%+v", got)
	}
	if got := ratioOf("x", 0.3, ms(20), ms(60)); got.met() || got.verdict() != "missed" {
		t.Errorf("%+v", got)
	}
}

func TestTurns(t *testing.T) {
	var order []string
	one := func(name string) step {
		return step{
			before: func(context.Context) error { order = append(order, name+"-"); return nil },
			timed:  func(context.Context) error { order = append(order, name); return nil },
		}
	}
	samples, err := turns(t.Context(), 3, one("a"), one("b"))
	if err != nil || len(samples) != 2 || len(samples[0]) != 3 || len(samples[1]) != 3 {
		t.Fatalf("%v, %v", samples, err)
	}
	if got, want := strings.Join(order, " "), "a- a b- b b- b a- a a- a b- b b- b a- a"; got != want {
		t.Errorf("order %s, want %s", got, want)
	}
	broken := errors.New("broken")
	failing := step{timed: func(context.Context) error { return broken }}
	if _, err := turns(t.Context(), 1, one("a"), failing); !errors.Is(err, broken) {
		t.Errorf("err %v", err)
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		args string
		only []string
		n    int
		err  string
	}{
		{args: "", n: leastSamples},
		{args: "-n 31 --json --keep", n: 31},
		{args: "--only noop_up,cold_up_8", only: []string{"noop_up", "cold_up_8"}, n: leastSamples},
		{args: "--only noop_up,", only: []string{"noop_up"}, n: leastSamples},
		{args: "--only nothing", err: `there is no measure "nothing"`},
		{args: "--suite nothing", err: `there is no suite "nothing"`},
		{args: "-n 0", err: "at least one sample"},
		{args: "noop_up", err: "bench takes only flags"},
		{args: "-x", err: "not defined"},
	} {
		o, err := parse(strings.Fields(c.args), io.Discard)
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want %s", c.args, err, c.err)
			}
			continue
		}
		if err != nil || !slices.Equal(o.only, c.only) || o.n != c.n {
			t.Errorf("%s: %+v, %v", c.args, o, err)
		}
	}
}

func TestReport(t *testing.T) {
	r := report{About: []string{"machine: one"}, Results: []result{
		{Name: "noop_up", Value: 0.25, Aim: 0.5, Ratio: true, Hepta: spread{15, 20, 18, 31}, Peer: spread{15, 80, 75, 120}},
		{Name: "binary_mb", Value: 18.11, Aim: 25},
	}}
	var b bytes.Buffer
	if err := r.json(&b); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 1 {
		t.Errorf("not one line: %s", b.String())
	}
	var got struct {
		Ratios  map[string]float64
		Medians map[string]map[string]float64 `json:"medians_ms"`
		Values  map[string]float64
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Ratios["noop_up"] != 0.25 || got.Medians["noop_up"]["compose"] != 80 || got.Medians["noop_up"]["hepta"] != 20 || got.Values["binary_mb"] != 18.11 {
		t.Errorf("%+v", got)
	}
	b.Reset()
	if err := r.table(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"machine: one", "noop_up    0.250  ≤ 0.500  ok  20.0 ms (18.0 … 31.0)", "binary_mb  18.1   ≤ 25.0   ok"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, b.String())
		}
	}
}

func TestEveryMeasureHasItsOwnName(t *testing.T) {
	for suite := range suites {
		list := slices.Sorted(slices.Values(names(suite)))
		if len(list) == 0 || len(slices.Compact(slices.Clone(list))) != len(list) {
			t.Errorf("%s: %v", suite, list)
		}
	}
}
