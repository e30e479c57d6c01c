// Command bench compares hepta with docker compose on one Engine, in one run,
// turn by turn, and prints the ratios of their medians.
//
//	go run ./integration/bench            # everything, a table at the end
//	go run ./integration/bench --json     # one JSON object on one line
//	go run ./integration/bench --only noop_up,cold_up_8 -n 31
//	go run ./integration/bench --suite builds
//	go run ./integration/bench --suite paas # needs no Engine
//
// Both programs are binaries on this machine, built the same way (stripped,
// static), and talk to the same socket of a nested Engine of their own. Where
// the outer Engine is local that socket lies in a volume, so that nothing is
// between a program and the Engine; elsewhere both go through the same relay,
// and the run says so.
//
// For the stack's own measures compose is given what hepta has made: the same
// images, settings and a copy of the files, under other names and ports. For
// the measures with 1, 4 and 8 plain containers, which no hepta.yaml can
// describe, package stack is hepta's engine as a program of its own.
//
// The suite builds has no peer: it compares the ways in which a job builds an
// image with each other, in jobs of the real runner.
package main
