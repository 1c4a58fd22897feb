// Package core translates what every mesh has, whatever policies there are:
// Services and their ports, and Pods as workloads.
package core
