package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// openWait bounds the time from the last workload's start to the shop's opening.
const openWait = 20 * time.Second

// errAlone means that a proxy knows a service but nobody behind it.
var errAlone = errors.New("no endpoint is known yet")

// opened returns when the front answers and every workload's proxy knows an
// endpoint of each service that it uses. One answer alone proves one path only:
// a backend with a small weight may still be unknown to those who call it.
func (s *shopRun) opened(ctx context.Context) error {
	late, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	for {
		_, err := page(late, s.front+"/")
		for _, w := range s.workloads {
			if err == nil {
				err = knowsAll(late, w)
			}
		}
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return nil // the user ended the demo before the shop was open
		}
		if !sleep(late, 20*time.Millisecond) {
			return fmt.Errorf("the shop does not answer: %w; logs are in %s", err, filepath.Dir(s.folder.LogFile("x")))
		}
	}
}

// knowsAll asks a workload's proxy for its clusters. A proxy asks for what is
// behind a service when it is first used, which the answer of the front was.
func knowsAll(ctx context.Context, w *workload) error {
	text, err := page(ctx, "http://"+loopback(w.admin)+"/config")
	if err != nil {
		return err
	}
	var c struct {
		Clusters []struct {
			Name, Kind string
			Endpoints  []struct{}
		}
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return err
	}
	for _, k := range c.Clusters {
		if k.Kind == "EDS" && len(k.Endpoints) == 0 {
			return fmt.Errorf("%s: %s: %w", w.pod, k.Name, errAlone)
		}
	}
	return nil
}
