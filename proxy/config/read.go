package config

import (
	"github.com/weftmesh/weft/identity"
)

// Each read function decodes one resource and checks that it is the one that
// its envelope names.

func readRoutes(name string, b []byte) (*routes, error) {
	r, err := decodeRoutes(b)
	if err == nil && r.name != name {
		err = invalid("name: the configuration calls itself %q", r.name)
	}
	return r, err
}

func readCluster(name string, b []byte) (*cluster, error) {
	c, err := decodeCluster(b)
	if err == nil && c.spec.Name != name {
		err = invalid("name: the cluster calls itself %q", c.spec.Name)
	}
	return c, err
}

func readAssignment(name string, b []byte) (*assignment, error) {
	a, err := decodeAssignment(b)
	switch {
	case err != nil:
	case a.name != name:
		err = invalid("cluster_name: the assignment calls itself %q", a.name)
	case len(a.names) > 0:
		err = invalid("address %q is not an IP address", a.names[0].Host)
	}
	return a, err
}

func readSecret(name string, b []byte) (*identity.Bundle, error) {
	own, bundle, err := decodeSecret(b)
	if err == nil && own != name {
		err = invalid("name: the secret calls itself %q", own)
	}
	return bundle, err
}
