package check

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/version"
)

// minimumKubernetes is the oldest version on which everything that the mesh
// uses is stable.
const minimumKubernetes = "1.25.0"

func kubernetesAPI(e *env) Category {
	return Category{"kubernetes-api", []Check{
		{Description: "can initialize the client", Fatal: true, Hint: "k8s-api", Run: func(context.Context) error {
			cl, err := e.connect()
			e.cluster = cl
			return err
		}},
		{Description: "can query the Kubernetes API", Fatal: true, Hint: "k8s-api", Run: func(context.Context) error {
			v, err := e.cluster.Version()
			e.version = v
			return err
		}},
	}}
}

func kubernetesVersion(e *env) Category {
	return Category{"kubernetes-version", []Check{
		{Description: "is running the minimum Kubernetes API version", Hint: "k8s-version", Run: func(context.Context) error {
			have, err := version.ParseGeneric(e.version)
			if err != nil {
				return fmt.Errorf("version %q of the API server: %w", e.version, err)
			}
			if have.LessThan(version.MustParseGeneric(minimumKubernetes)) {
				return fmt.Errorf("Kubernetes is on version [%s], but version [%s] or more recent is required", have, minimumKubernetes) //nolint:staticcheck // a proper name
			}
			return nil
		}},
	}}
}
