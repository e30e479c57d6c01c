// Package paas runs CI jobs on Docker hosts that exist only for them. It takes
// a job from a GitLab or Heptapod coordinator, has a host made for it by a
// provider, hands the job over by a Git push, watches it and has the host
// removed.
//
// It reads the configuration and the state file of heptapod-paas-runner. Every
// step is written to the state file before it is taken (Journal), and what
// happens next is decided by a pure function of what is written (Step): killed
// at any moment, it goes on where it stopped, with no job and no host lost.
package paas
