//go:build !linux

package redirect

import "errors"

func backends() []backend { return []backend{none{}} }

// none is for systems without netfilter.
type none struct{}

var errLinux = errors.New("redirecting connections needs Linux")

func (none) name() string     { return NFT }
func (none) apply(Plan) error { return errLinux }
func (none) undo() error      { return errLinux }
