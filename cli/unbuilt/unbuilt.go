// Package unbuilt answers for commands that the tools have elsewhere and the
// mesh has not: plainly, and with a failure.
package unbuilt

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/console"
)

// New makes a hidden command for each name; names of subcommands follow after
// a space, such as "x describe".
func New(c console.Console, names ...string) []*cobra.Command {
	var out []*cobra.Command
	for _, name := range names {
		out = append(out, &cobra.Command{
			Use:                name,
			Hidden:             true,
			DisableFlagParsing: true,
			RunE: func(cmd *cobra.Command, args []string) error {
				words := []string{cmd.CommandPath()}
				for _, a := range args {
					if strings.HasPrefix(a, "-") {
						break
					}
					words = append(words, a)
				}
				return fmt.Errorf("`%s` is not built yet", strings.Join(words, " "))
			},
		})
	}
	return out
}
