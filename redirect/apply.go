package redirect

import (
	"errors"
	"fmt"
	"log/slog"
	"syscall"
)

// ErrBackend is an unknown name of a backend.
var ErrBackend = errors.New("unknown backend: choose auto, nft or legacy")

// Backends by name.
const (
	// Auto is nft, or legacy where the kernel has no nat in nftables.
	Auto   = "auto"
	NFT    = "nft"
	Legacy = "legacy"
)

type backend interface {
	name() string
	apply(Plan) error
	undo() error
}

// Apply makes the plan hold in the network namespace of the calling thread,
// replacing what an earlier Apply made there, and returns the backend used.
func Apply(p Plan, backendName string, log *slog.Logger) (string, error) {
	bs, err := choose(backendName)
	if err != nil {
		return "", err
	}
	return applyFirst(p, bs, log)
}

// applyFirst takes the first backend that works. Lack of permission is final:
// it would be lacking everywhere.
func applyFirst(p Plan, bs []backend, log *slog.Logger) (string, error) {
	var errs []error
	for i, b := range bs {
		err := b.apply(p)
		if err == nil {
			return b.name(), nil
		}
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) {
			return "", fmt.Errorf("%w (setting the rules needs the capability NET_ADMIN)", err)
		}
		errs = append(errs, err)
		if i < len(bs)-1 {
			log.Info("falling back", "from", b.name(), "to", bs[i+1].name(), "because", err)
		}
	}
	return "", errors.Join(errs...)
}

// Undo removes what Apply made, by whichever backend; it is no error when there
// is nothing.
func Undo(backendName string) error {
	bs, err := choose(backendName)
	if err != nil {
		return err
	}
	var errs []error
	for _, b := range bs {
		// A kernel without a backend has nothing of it to remove.
		if err := b.undo(); err != nil && (len(bs) == 1 || !missing(err)) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func missing(err error) bool {
	for _, e := range []syscall.Errno{syscall.ENOENT, syscall.EOPNOTSUPP, syscall.EPROTONOSUPPORT, syscall.EAFNOSUPPORT, syscall.ENOPROTOOPT} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func choose(name string) ([]backend, error) {
	all := backends()
	if name == Auto {
		return all, nil
	}
	for _, b := range all {
		if b.name() == name {
			return []backend{b}, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrBackend, name)
}
