// Package relay runs one job that was taken beforehand in a stock GitLab Runner,
// which can only run what it asks for. Beside the runner it is a coordinator
// that gives exactly this job, once, and passes everything else on to the forge
// with the job's own token: the trace, the job's state, artifacts, and what the
// forge says in return, such as that the job was canceled.
//
// A job runs at most once, and the forge hears how it ended: from the runner,
// or, where the runner or the host breaks down, from the relay.
package relay
