package control

import (
	"context"

	"github.com/weftmesh/weft/control/status"
	"github.com/weftmesh/weft/control/translate"
)

// writeStatus tells the authors of routes what became of them. Of several
// replicas the leader does.
func (c *Control) writeStatus(ctx context.Context, results <-chan translate.Result) error {
	return status.Run(ctx, status.Settings{
		Client: c.client, Dynamic: c.dynamic, Namespace: c.options.Namespace, Identity: c.options.PodName, Log: c.options.Log,
	}, results)
}

// replace puts the newest result where the writer finds it; one that it has not
// taken yet is dropped.
func replace(to chan translate.Result, r translate.Result) {
	select {
	case <-to:
	default:
	}
	to <- r
}
