package traffic

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/weftmesh/weft/e2e/cluster"
)

// Counter sums up a counter of a pod's proxy, in Linkerd's vocabulary, over the
// series that carry these labels.
func Counter(ctx context.Context, c *cluster.Cluster, pod Pod, name string, labels map[string]string) (float64, error) {
	return counter(ctx, c, pod, ":4191/metrics", name, labels)
}

// Flagged is how many requests a pod's proxy has counted with one of Istio's
// response flags, such as UO.
func Flagged(ctx context.Context, c *cluster.Cluster, pod Pod, flag string) (float64, error) {
	return counter(ctx, c, pod, ":15090/stats/prometheus", "istio_requests_total", map[string]string{"response_flags": flag})
}

func counter(ctx context.Context, c *cluster.Cluster, pod Pod, at, name string, labels map[string]string) (float64, error) {
	client := http.Client{Transport: &http.Transport{DialContext: c.Dial, DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+pod.Status.PodIP+at, nil)
	if err != nil {
		return 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		return 0, fmt.Errorf("metrics of %s: %w", pod.Metadata.Name, err)
	}
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		found := 0
		for _, l := range m.GetLabel() {
			if v, ok := labels[l.GetName()]; ok && v == l.GetValue() {
				found++
			}
		}
		if found == len(labels) {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum, nil
}
