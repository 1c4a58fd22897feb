// Package retry decides whether a try that came to nothing is followed by
// another: which outcomes a policy names, how long to pause, and how many
// retries a budget allows. It is pure; proxy/forward asks it.
package retry
