// Package admission judges one object before the API server takes it: what
// could not work is refused, what is odd is warned of.
//
// It asks the translators of the control plane about a small world: the object,
// and stand-ins for the services that it names, so that nothing is missing but
// what is wrong with the object itself. The webhook, the command line and the
// control plane therefore say the same.
package admission
