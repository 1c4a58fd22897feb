// Package compat is the command `compat`: it makes the links by which the
// binary answers with the trees of other tools.
package compat

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weftmesh/weft/cli/console"
)

// New makes the command.
func New(c console.Console) *cobra.Command {
	cmd := &cobra.Command{Use: "compat", Short: "Answer to the names of other tools"}
	var force bool
	link := &cobra.Command{
		Use:     "link DIR",
		Short:   "Make links called linkerd and istioctl in a folder of the PATH",
		Example: "  weft compat link ~/.local/bin",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this binary: %w", err)
			}
			if self, err = filepath.EvalSymlinks(self); err != nil {
				return fmt.Errorf("find this binary: %w", err)
			}
			return Link(c, self, args[0], force)
		},
	}
	link.Flags().BoolVar(&force, "force", false, "replace what is there")
	cmd.AddCommand(link)
	return cmd
}

// Link makes a link to the binary for each name that it answers to. A file of
// that name which is no such link is left alone, unless forced.
func Link(c console.Console, binary, dir string, force bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range console.Aliases() {
		path := filepath.Join(dir, name)
		switch old, err := os.Readlink(path); {
		case err == nil && old == binary:
			c.Printf("%s is there already\n", path)
			continue
		case errors.Is(err, fs.ErrNotExist):
		case !force:
			return fmt.Errorf("%s exists and is something else; use --force to replace it", path)
		default:
			if err := os.Remove(path); err != nil {
				return err
			}
		}
		if err := os.Symlink(binary, path); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(c.Out, "%s -> %s\n", path, binary); err != nil {
			return err
		}
	}
	return nil
}
