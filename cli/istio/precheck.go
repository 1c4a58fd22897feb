package istio

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/check"
	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
)

// NewPrecheck makes `x precheck`.
func NewPrecheck(c console.Console, flags *cluster.Flags) *cobra.Command {
	return &cobra.Command{
		Use:   "precheck",
		Short: "Check whether the mesh can be installed or upgraded",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			faults := 0
			for o := range check.Permissions(cmd.Context(), c, flags) {
				if o.Result == check.Success {
					continue
				}
				faults++
				level, code := "Error", "IST0141"
				if o.Result == check.Warning {
					level = "Warning"
				}
				if o.Category == "kubernetes-version" {
					code = "IST0142"
				}
				_, _ = fmt.Fprintf(c.Out, "%s [%s] %s: %v\n", level, code, o.Description, o.Err)
			}
			if faults > 0 {
				return fmt.Errorf("issues found when checking the cluster; see above")
			}
			c.Printf("✔ No issues found when checking the cluster. Istio is safe to install or upgrade!\n  To get started, check out https://github.com/weftmesh/weft\n")
			return nil
		},
	}
}
