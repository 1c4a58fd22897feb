package istio

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/cluster"
	"github.com/weftmesh/weft/cli/console"
	"github.com/weftmesh/weft/cli/uninstall"
)

// NewUninstall makes `uninstall`, which deletes by itself.
func NewUninstall(c console.Console, flags *cluster.Flags) *cobra.Command {
	var purge, yes bool
	cmd := &cobra.Command{
		Use:   "uninstall --purge",
		Short: "Remove the control plane",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !purge {
				return fmt.Errorf("--purge is missing: there are no revisions to choose from, so that all goes or nothing")
			}
			cl, err := flags.Connect(c)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			pods, err := uninstall.Injected(ctx, cl)
			if err != nil {
				return err
			}
			for _, ns := range slices.Sorted(maps.Keys(pods)) {
				c.Printf("! namespace %s: %d pods still have a proxy\n", ns, pods[ns])
			}
			if !yes {
				c.Printf("All resources of the control plane in namespace %s will be removed. Proceed? (y/N) ", cl.ControlNamespace)
				if !confirmed(c) {
					c.Printf("Cancelled.\n")
					return console.Failed()
				}
			}
			objects, err := uninstall.Objects(ctx, c, cl)
			if err != nil {
				return err
			}
			mapper, err := cl.Mapper()
			if err != nil {
				return err
			}
			for _, o := range objects {
				if err := cl.Delete(ctx, mapper, o); err != nil {
					return err
				}
				_, _ = fmt.Fprintf(c.Out, "  Removed %s:%s:%s.\n", o.GetKind(), o.GetNamespace(), o.GetName())
			}
			_, _ = fmt.Fprintln(c.Out, "✔ Uninstall complete")
			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "remove everything")
	cmd.Flags().BoolVarP(&yes, "skip-confirmation", "y", false, "do not ask")
	return cmd
}
