package kube

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	k8stest "k8s.io/client-go/testing"

	"github.com/weftmesh/weft/control/world"
)

// TestWaitingSaysWhy: while a resource cannot be listed nothing is published,
// and whoever asks is told which one and why.
func TestWaitingSaysWhy(t *testing.T) {
	var allowed atomic.Bool
	forbid := func(k8stest.Action) (bool, runtime.Object, error) {
		if allowed.Load() {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "services"}, "", nil)
	}
	c := startWith(t, nil, []runtime.Object{crd("trafficsplits.split.smi-spec.io", "v1alpha1")}, func(c *cluster) {
		c.client.PrependReactor("list", "services", forbid)
		c.dynamic.PrependReactor("list", "trafficsplits", forbid)
	})
	deadline := time.Now().Add(20 * time.Second)
	for {
		got := c.source.Waiting()
		if len(got) == 2 && strings.HasPrefix(got[0], "services: ") && strings.Contains(got[0], "forbidden") && strings.HasPrefix(got[1], "trafficsplits.split.smi-spec.io: ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %q", got)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if c.last != nil {
		t.Error("a World without its services")
	}
	allowed.Store(true)
	c.until("everything is listed", func(*world.World) bool { return true })
	if got := c.source.Waiting(); !slices.Equal(got, nil) {
		t.Errorf("still waiting for %q", got)
	}
}
