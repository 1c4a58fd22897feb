package install

import (
	"errors"
	"fmt"

	"github.com/weftmesh/weft/cli/cluster"
)

// hint tells the way out where the cluster is away.
func hint(err error) error {
	if errors.Is(err, cluster.ErrConnect) {
		return fmt.Errorf("%w\nuse --ignore-cluster to render without a cluster", err)
	}
	return err
}
