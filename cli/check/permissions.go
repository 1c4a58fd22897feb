package check

import (
	"context"
	"iter"
	"time"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
)

// Permissions answers whether the cluster is new enough and the user may do
// all that an installation or an upgrade needs. Unlike `check --pre` it does
// not mind a control plane that is there already.
func Permissions(ctx context.Context, c console.Console, flags *cluster.Flags) iter.Seq[Outcome] {
	e := &env{console: c, flags: flags, tool: c.Tool.Name, now: time.Now}
	all := []Category{kubernetesAPI(e), kubernetesVersion(e), {"permissions", e.permissions()}}
	return Runner{Timeout: 30 * time.Second}.stream(ctx, all)
}
