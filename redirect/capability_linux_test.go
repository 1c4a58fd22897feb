package redirect

import (
	"log/slog"
	"testing"

	"golang.org/x/sys/unix"
)

// TestOneCapabilityIsEnough: the container that sets the rules has NET_ADMIN
// alone (inject/container.go), whichever backend it comes to.
func TestOneCapabilityIsEnough(t *testing.T) {
	for _, backend := range []string{NFT, Legacy} {
		t.Run(backend, func(t *testing.T) {
			p := newPod(t)
			plan, err := NewPlan(full)
			if err != nil {
				t.Fatal(err)
			}
			p.do(func() error {
				// Of this thread alone, which ends with the function.
				head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
				var data [2]unix.CapUserData
				data[0].Effective, data[0].Permitted = 1<<unix.CAP_NET_ADMIN, 1<<unix.CAP_NET_ADMIN
				if err := unix.Capset(&head, &data[0]); err != nil {
					return err
				}
				if _, err := Apply(plan, backend, slog.New(slog.DiscardHandler)); err != nil {
					return err
				}
				return Undo(backend)
			})
		})
	}
}
